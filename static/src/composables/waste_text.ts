/** What a cause of waste is called, what happened, and what would prevent it. A gateway may know more causes than its panel. */

import { useI18n } from 'vue-i18n';

export interface WasteText {
  title: (cause: string) => string;
  what: (cause: string) => string;
  prevent: (cause: string) => string;
}

export function useWasteText(): WasteText {
  const { t, te } = useI18n();
  const text = (part: 'title' | 'what' | 'prevent') => (cause: string): string => (te(`wasteCause.${cause}.${part}`) ? t(`wasteCause.${cause}.${part}`) : cause);
  return { title: text('title'), what: text('what'), prevent: text('prevent') };
}
