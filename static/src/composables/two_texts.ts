/** A text that the API gives in both languages, in the one of the panel. */

import { useI18n } from 'vue-i18n';

import type { TwoTexts } from '@/api/types';

export function useTwoTexts(): (text: TwoTexts) => string {
  const { locale } = useI18n();
  return (text) => (typeof text === 'string' ? text : locale.value === 'zh-CN' ? text.zh : text.en);
}
