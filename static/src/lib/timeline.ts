/** The parts of a request's time, one after the other. */

import type { RequestRow } from '@/api/types';

export const PARTS = ['queue', 'connect', 'wait', 'think', 'stream'] as const;
export type PartName = (typeof PARTS)[number];

export interface Part {
  name: PartName;
  fromMs: number;
  toMs: number;
}

type Times = Pick<RequestRow, 'duration_ms' | 'queue_ms' | 'connect_ms' | 'first_byte_ms' | 'first_token_ms'>;

/**
 * All moments count from the request's first byte. One that is not known adds its part to the next one that is; what
 * is left after the last known moment belongs to the part that did not end.
 */
export function timelineParts(row: Times): Part[] {
  const ends: [PartName, number | null][] = [
    ['queue', row.queue_ms],
    ['connect', row.connect_ms],
    ['wait', row.first_byte_ms],
    ['think', row.first_token_ms],
  ];
  const parts: Part[] = [];
  let at = 0;
  let last = -1;
  ends.forEach(([name, end], index) => {
    if (end === null) return;
    const to = Math.min(Math.max(end, at), row.duration_ms);
    if (to > at) parts.push({ name, fromMs: at, toMs: to });
    at = to;
    last = index;
  });
  if (row.duration_ms > at) {
    // Without a first token there is nothing to stream after the first byte: the rest is still the answer.
    const rest = last >= 2 ? 'stream' : (PARTS[last + 1] ?? 'stream');
    parts.push({ name: rest, fromMs: at, toMs: row.duration_ms });
  }
  return parts;
}
