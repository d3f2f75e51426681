/** What a piece of a chart is in time. */

import type { Bounds } from './time_range';

/** The whole steps that lie between two moments, in part or wholly; `null` if the chart has none. */
export function stepsBetween(fromMs: number, toMs: number, atMs: readonly number[]): Bounds | null {
  const [first, second] = atMs;
  const last = atMs.at(-1);
  if (first === undefined || last === undefined) return null;
  const stepMs = second === undefined ? 60_000 : second - first;
  const from = Math.min(Math.max(Math.floor((fromMs - first) / stepMs), 0), atMs.length - 1);
  const to = Math.min(Math.max(Math.ceil((toMs - first) / stepMs), from + 1), atMs.length);
  return { from: first + from * stepMs, to: first + to * stepMs };
}
