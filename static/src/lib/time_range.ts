/** Stretches of time that end now. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const RANGES = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
export type Range = (typeof RANGES)[number];

interface Shape {
  lengthMs: number;
  /** Width of one point of a time series: 15 to 100 points over the whole. */
  stepMs: number;
  /** How often a page that shows it asks anew. */
  refreshMs: number;
}

export const RANGE_SHAPES: Record<Range, Shape> = {
  '15m': { lengthMs: 15 * MINUTE_MS, stepMs: MINUTE_MS, refreshMs: 5_000 },
  '1h': { lengthMs: HOUR_MS, stepMs: MINUTE_MS, refreshMs: 10_000 },
  '6h': { lengthMs: 6 * HOUR_MS, stepMs: 5 * MINUTE_MS, refreshMs: 30_000 },
  '24h': { lengthMs: DAY_MS, stepMs: 15 * MINUTE_MS, refreshMs: 60_000 },
  '7d': { lengthMs: 7 * DAY_MS, stepMs: 2 * HOUR_MS, refreshMs: 120_000 },
  '30d': { lengthMs: 30 * DAY_MS, stepMs: 8 * HOUR_MS, refreshMs: 300_000 },
};

export function isRange(text: unknown): text is Range {
  return RANGES.some((range) => range === text);
}

export function rangeBounds(range: Range, nowMs: number): { from: number; to: number } {
  return { from: nowMs - RANGE_SHAPES[range].lengthMs, to: nowMs };
}
