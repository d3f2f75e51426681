/** What a failure is told with: its message, else a sentence for the gateway's own short reason. */

import { useI18n } from 'vue-i18n';

export function useFailureText(): (message: string | null, reason: string) => string {
  const { t, te } = useI18n();
  return (message, reason) => {
    if (message !== null && message !== '') return message;
    if (reason === '') return '–';
    // What is no single word is a sentence already.
    if (!/^\w+$/.test(reason)) return reason;
    return te(`reason.${reason}`) ? t(`reason.${reason}`) : t('errors.reason', { reason });
  };
}
