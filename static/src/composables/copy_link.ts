/** The address of what is seen: range, filters, order and what is open are all in it. */

import { useI18n } from 'vue-i18n';

import { showToast } from './toast';

export function useCopyLink(): () => Promise<void> {
  const { t } = useI18n();
  return async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      showToast('ok', t('copyLink.copied'));
    } catch {
      // Without TLS, and not on this machine, browsers keep the clipboard to themselves.
      showToast('bad', t('copyLink.failed'));
    }
  };
}
