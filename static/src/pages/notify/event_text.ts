/** What an event of the notifications is called. */

import { useI18n } from 'vue-i18n';

/** One that the panel does not know yet goes by its name. */
export function useEventText(): (event: string) => string {
  const { t, te } = useI18n();
  return (event) => (te(`notify.event.${event}`) ? t(`notify.event.${event}`) : event);
}
