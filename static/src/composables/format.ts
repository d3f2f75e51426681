/** The functions of lib/format.ts in the language of the panel. */

import { useI18n } from 'vue-i18n';

import * as format from '@/lib/format';

import { nowMs } from './clock';
import { units } from './units';

export function useFormat() {
  const { t, locale } = useI18n();
  return {
    number: (value: number | null | undefined, digits?: number) => format.formatNumber(locale.value, value, digits),
    compact: (value: number | null | undefined) => format.formatCompact(units.value === 'km' ? 'en' : locale.value, value),
    share: (value: number | null | undefined) => format.formatShare(locale.value, value),
    cost: (value: number | null | undefined) => format.formatCost(locale.value, value),
    costs: (of: { cost_usd: number | null; unpriced_requests: number }) => format.formatCosts(locale.value, of),
    duration: (ms: number | null | undefined) => format.formatDuration(locale.value, ms),
    elapsed: (ms: number | null | undefined) => format.formatElapsed(locale.value, ms),
    bytes: (bytes: number | null | undefined) => format.formatBytes(locale.value, bytes),
    clock: (atMs: number) => format.formatClock(locale.value, atMs, nowMs.value),
    /** From one minute to another; either may be open. */
    span: (fromMs: number | null, toMs: number | null) => {
      if (fromMs !== null && toMs !== null) return format.formatSpan(locale.value, fromMs, toMs);
      if (fromMs !== null) return t('range.since', { at: format.formatMinute(locale.value, fromMs) });
      return toMs === null ? t('range.all') : t('range.until', { at: format.formatMinute(locale.value, toMs) });
    },
    /** A moment to the minute, with its day if that is not today's. */
    minute: (atMs: number) => format.formatNearMinute(locale.value, atMs, nowMs.value),
    /** How long it is until then, in whole minutes. */
    until: (atMs: number) => format.formatLasting(locale.value, nowMs.value, atMs),
    moment: (atMs: number) => format.formatMoment(locale.value, atMs),
    ago: (atMs: number) => format.formatAgo(locale.value, Math.min(atMs, nowMs.value), nowMs.value),
    lasting: (sinceMs: number) => format.formatLasting(locale.value, sinceMs, nowMs.value),
    tick: (atMs: number, incrementMs: number) => format.formatTick(locale.value, atMs, incrementMs),
  };
}
