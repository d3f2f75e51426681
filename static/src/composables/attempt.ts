/** An action whose failure is told at the edge of the page. */

import { useErrorText } from './error_text';
import { showToast } from './toast';

/** `true` if it went well. */
export function useAttempt(): (action: () => Promise<void>) => Promise<boolean> {
  const errorText = useErrorText();
  return async (action) => {
    try {
      await action();
      return true;
    } catch (error) {
      showToast('bad', errorText(error));
      return false;
    }
  };
}
