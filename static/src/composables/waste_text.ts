/** What a cause of waste is called, what happened, and what would prevent it. A gateway may know more causes than its panel. */

import { useI18n } from 'vue-i18n';

import { wasteDetail } from '@/lib/waste_detail';

import { useFormat } from './format';

export interface WasteText {
  title: (cause: string) => string;
  what: (cause: string) => string;
  prevent: (cause: string) => string;
  /** What changed, by name. */
  detail: (cause: string, detail: string) => string;
}

export function useWasteText(): WasteText {
  const { t, te } = useI18n();
  const format = useFormat();
  const text = (part: 'title' | 'what' | 'prevent') => (cause: string): string => (te(`wasteCause.${cause}.${part}`) ? t(`wasteCause.${cause}.${part}`) : cause);
  const detail = (cause: string, told: string): string => {
    const known = wasteDetail(cause, told);
    if (known.kind === 'idle') return t('waste.details.idle', { idle: format.duration(known.idleMs), lives: format.duration(known.livesMs) });
    if (known.kind === 'change') return `${known.was} → ${known.is}`;
    return known.text === 'settings' ? t('waste.details.settings') : known.text;
  };
  return { title: text('title'), what: text('what'), prevent: text('prevent'), detail };
}
