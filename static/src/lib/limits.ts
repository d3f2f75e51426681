/** Limits of tokens, users and groups: how they are written (`usd:day:5`), and how much of one is used. */

import { LIMIT_WINDOWS, MEASURES, type Limit as SomebodysLimit, type LimitUsage, type LimitWindow, type Measure } from '@/api/types';

export type Limit = Pick<SomebodysLimit, 'measure' | 'window' | 'amount'>;

/** A limit as it is written; `null` if the text is none. */
export function limitOf(text: string): Limit | null {
  const [measure, window, amount, more] = text.split(':');
  const [known, time] = [MEASURES.find((one) => one === measure), LIMIT_WINDOWS.find((one) => one === window)];
  const number = Number(amount);
  if (known === undefined || time === undefined || more !== undefined || !(number > 0)) return null;
  return { measure: known, window: time, amount: number };
}

/** The windows that a measure can have a limit in: what is spent is not there at one time. */
export function windowsOf(measure: Measure): readonly LimitWindow[] {
  return measure === 'usd' || measure === 'tokens' ? LIMIT_WINDOWS.filter((window) => window !== 'now') : LIMIT_WINDOWS;
}

/** What share of a limit is used; what requests hold that are being served counts. `null` where nobody keeps count. */
export function usedShare({ used, held, amount }: Pick<LimitUsage, 'used' | 'held' | 'amount'>): number | null {
  return used === null || amount <= 0 ? null : (used + (held ?? 0)) / amount;
}

/** The amount that was typed; `null` if it is none. Dollars may have a fraction. */
export function amountOf(measure: Measure, text: string): number | null {
  const number = Number(text.trim().replace(/^\$/, ''));
  const isOne = Number.isFinite(number) && number > 0 && (measure === 'usd' || Number.isInteger(number));
  return isOne ? number : null;
}

/** What is told of when a limit begins anew. */
export type Reset = { kind: 'at'; atMs: number } | { kind: 'never' | 'unopened' | 'none' };

export function resetOf({ window, resets_at_ms: atMs }: Pick<LimitUsage, 'window' | 'resets_at_ms'>): Reset {
  if (atMs !== null) return { kind: 'at', atMs };
  if (window === 'total') return { kind: 'never' };
  // A rate and places are free again as time goes by and requests end.
  return { kind: window === '5h' ? 'unopened' : 'none' };
}

export type Tone = 'ok' | 'warn' | 'bad';

/** As notices do: from 80 % on it is worth a look, and then nothing is left. */
export function toneOf(share: number | null): Tone {
  if (share === null || share < 0.8) return 'ok';
  return share < 1 ? 'warn' : 'bad';
}
