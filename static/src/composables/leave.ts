/** Signing out: asks before edits are lost that are not saved. */

import { useRouter } from 'vue-router';

import { useErrorText } from './error_text';
import { signOut } from './session';
import { showToast } from './toast';
import { forsakeUnsaved, mayLeaveAll } from './unsaved';

export function useLeave(): () => Promise<void> {
  const router = useRouter();
  const errorText = useErrorText();
  return async () => {
    if (!(await mayLeaveAll())) return;
    try {
      await signOut();
      forsakeUnsaved();
      await router.push({ name: 'login' });
    } catch (error) {
      showToast('bad', errorText(error));
    }
  };
}
