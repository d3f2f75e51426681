/** Limits of tokens, users and groups: how they are written (`usd:day:5`), and how much of one is used. */

export const MEASURES = ['usd', 'tokens', 'requests', 'sessions'] as const;
export type Measure = (typeof MEASURES)[number];
export const WINDOWS = ['minute', '5h', 'day', 'week', 'month', 'total', 'now'] as const;
export type Window = (typeof WINDOWS)[number];

export interface Limit {
  measure: Measure;
  window: Window;
  amount: number;
}

/** A limit as it is written; `null` if the text is none. */
export function limitOf(text: string): Limit | null {
  const [measure, window, amount, more] = text.split(':');
  const [known, time] = [MEASURES.find((one) => one === measure), WINDOWS.find((one) => one === window)];
  const number = Number(amount);
  if (known === undefined || time === undefined || more !== undefined || !(number > 0)) return null;
  return { measure: known, window: time, amount: number };
}

/** The windows that a measure can have a limit in: what is spent is not there at one time. */
export function windowsOf(measure: Measure): readonly Window[] {
  return measure === 'usd' || measure === 'tokens' ? WINDOWS.filter((window) => window !== 'now') : WINDOWS;
}

/** What share of a limit is used; what requests hold that are being served counts. `null` where nobody keeps count. */
export function usedShare({ used, held, amount }: { used: number | null; held: number; amount: number }): number | null {
  return used === null || amount <= 0 ? null : (used + held) / amount;
}

export type Tone = 'ok' | 'warn' | 'bad';

/** As notices do: from 80 % on it is worth a look, and then nothing is left. */
export function toneOf(share: number | null): Tone {
  if (share === null || share < 0.8) return 'ok';
  return share < 1 ? 'warn' : 'bad';
}
