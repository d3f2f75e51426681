/** Limits in words, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import type { Measure } from '@/api/types';
import { limitOf, type Limit } from '@/lib/limits';

import { useFormat } from './format';

export function useLimitText() {
  const { t } = useI18n();
  const format = useFormat();
  /** $5.00, 2. */
  const count = (measure: Measure, value: number): string => (measure === 'usd' ? format.cost(value) : format.compact(value));
  /** $5.00, 2 requests. */
  const amount = (measure: Measure, value: number): string => t(`limits.amount.${measure}`, { count: count(measure, value) }, value);
  /** $5.00 a day. */
  const limit = ({ measure, window, amount: value }: Limit): string => t(`limits.in.${window}`, { amount: amount(measure, value) });
  return {
    count,
    amount,
    limit,
    /** The same of a limit as it is written; of another text nothing is known. */
    written: (text: string): string => {
      const known = limitOf(text);
      return known === null ? text : limit(known);
    },
  };
}
