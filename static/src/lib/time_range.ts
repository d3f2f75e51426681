/** The time that pages look at: one that ends now, one of the calendar in the reader's zone, or from one moment to another. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Times that end now. */
export const ROLLING = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
/** Times of the calendar. Weeks begin with Monday. */
export const CALENDAR = ['today', 'yesterday', 'week', 'month'] as const;
export const RANGES = [...ROLLING, ...CALENDAR] as const;
export type Range = (typeof RANGES)[number];

const LENGTHS_MS: Record<(typeof ROLLING)[number], number> = {
  '15m': 15 * MINUTE_MS, '1h': HOUR_MS, '6h': 6 * HOUR_MS, '24h': DAY_MS, '7d': 7 * DAY_MS, '30d': 30 * DAY_MS,
};

/** A range with a name, or two moments of which one may be open; neither is all time. */
export interface Span {
  range: Range | null;
  from: number | null;
  to: number | null;
}
/** Both ends, as the API takes them. */
export type Bounds = Record<'from' | 'to', number>;

export const ALL_TIME: Span = { range: null, from: null, to: null };

export function spanOf(range: Range): Span {
  return { range, from: null, to: null };
}

/** What a page looks at that has to look at a time, and was told of none. */
export const DEFAULT_SPAN: Span = spanOf('24h');

export function isRange(text: unknown): text is Range {
  return RANGES.some((range) => range === text);
}

export function isAllTime({ range, from, to }: Span): boolean {
  return range === null && from === null && to === null;
}

export function isSameSpan(a: Span, b: Span): boolean {
  return a.range === b.range && a.from === b.from && a.to === b.to;
}

function moment(value: unknown): number | null {
  const number = typeof value === 'string' ? Number(value) : NaN;
  return Number.isSafeInteger(number) && number > 0 ? number : null;
}

/** What a page's query says of the time. Without a word of it, or with one that makes no sense, that is all time. */
export function spanFromQuery(query: Record<string, unknown>): Span {
  if (isRange(query['range'])) return spanOf(query['range']);
  const [from, to] = [moment(query['from']), moment(query['to'])];
  return from !== null && to !== null && from >= to ? ALL_TIME : { range: null, from, to };
}

/** The same as a page's query; empty for all time. */
export function spanToQuery({ range, from, to }: Span): Record<string, string> {
  if (range !== null) return { range };
  if (from === null && to === null) return {};
  return { range: 'custom', ...(from !== null && { from: String(from) }), ...(to !== null && { to: String(to) }) };
}

/** Midnight of the day of this moment, or of a day that many days later, in the reader's zone. */
function midnight(atMs: number, daysLater = 0): number {
  const at = new Date(atMs);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + daysLater).getTime();
}

export function rangeBounds(range: Range, nowMs: number): Bounds {
  const now = new Date(nowMs);
  switch (range) {
    case 'today':
      return { from: midnight(nowMs), to: nowMs };
    case 'yesterday':
      return { from: midnight(nowMs, -1), to: midnight(nowMs) };
    case 'week':
      return { from: midnight(nowMs, -((now.getDay() + 6) % 7)), to: nowMs };
    case 'month':
      return { from: new Date(now.getFullYear(), now.getMonth(), 1).getTime(), to: nowMs };
    default:
      return { from: nowMs - LENGTHS_MS[range], to: nowMs };
  }
}

/** Both ends, for what cannot do without: an open end is now, an open beginning the last 30 days. */
export function spanBounds({ range, from, to }: Span, nowMs: number): Bounds {
  if (range !== null) return rangeBounds(range, nowMs);
  const end = to ?? Math.max(nowMs, (from ?? 0) + MINUTE_MS);
  return { from: from ?? end - LENGTHS_MS['30d'], to: end };
}

/** Whether time goes on in it: only then it has to be looked at again. */
export function isMoving(span: Span, nowMs: number): boolean {
  return spanBounds(span, nowMs).to >= nowMs;
}

/** Whether it is a part of the span that goes by now. */
export function includesNow({ range, from, to }: Span, nowMs: number): boolean {
  if (range !== null) return rangeBounds(range, nowMs).to >= nowMs;
  return (from === null || from <= nowMs) && (to === null || to > nowMs);
}

const MOST_POINTS = 100;
const STEPS_MS = [1, 5, 15, 30, 60, 120, 240, 480, 1440, 4 * 1440, 14 * 1440].map((minutes) => minutes * MINUTE_MS);
/** Beyond this age the gateway has no sums of single minutes. */
const MINUTES_KEPT_MS = 3 * DAY_MS - HOUR_MS;

/** The width of one point of a series over this time: as fine as at most a hundred points allow. */
export function stepOf({ from, to }: Bounds, nowMs: number): number {
  const least = from < nowMs - MINUTES_KEPT_MS ? 15 * MINUTE_MS : MINUTE_MS;
  const step = STEPS_MS.find((one) => one >= least && (to - from) / one <= MOST_POINTS);
  return step ?? Math.ceil((to - from) / MOST_POINTS / DAY_MS) * DAY_MS;
}

/** How often a page that shows so much time asks anew. */
export function refreshOf({ from, to }: Bounds): number {
  const length = to - from;
  if (length <= 15 * MINUTE_MS) return 5_000;
  if (length <= HOUR_MS) return 10_000;
  if (length <= 6 * HOUR_MS) return 30_000;
  if (length <= DAY_MS) return 60_000;
  return length <= 7 * DAY_MS ? 120_000 : 300_000;
}
