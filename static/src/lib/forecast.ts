/** What the day and the month will have cost, from what the last weeks did. Days are those of the reader's zone. */

export interface CostPoint {
  at_ms: number;
  cost_usd: number | null;
}

export interface Forecast {
  soFar: number;
  expected: number;
  /** Between these most such times end. */
  low: number;
  high: number;
  /** How many whole days it is made of. */
  days: number;
}

const RECENT_DAYS = 7;
const LONG_DAYS = 28;
/** One day alone says nothing of another. */
const LEAST_DAYS = 2;

/** When the day of this moment began, or one that is so many days away. */
export function dayStart(atMs: number, days = 0): number {
  const at = new Date(atMs);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + days).getTime();
}

export function monthStart(atMs: number, months = 0): number {
  const at = new Date(atMs);
  return new Date(at.getFullYear(), at.getMonth() + months, 1).getTime();
}

/** From when on a forecast at this moment needs costs. */
export function forecastFrom(nowMs: number): number {
  return Math.min(monthStart(nowMs), dayStart(nowMs, -LONG_DAYS));
}

/** What lies between two moments; of a step that lies there in part, as much as lies there. */
function sumBetween(points: readonly CostPoint[], stepMs: number, fromMs: number, toMs: number): number {
  return points.reduce((sum, { at_ms: at, cost_usd: cost }) => {
    const inside = Math.min(at + stepMs, toMs) - Math.max(at, fromMs);
    return inside > 0 && cost !== null ? sum + (cost * inside) / stepMs : sum;
  }, 0);
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

interface Day {
  startMs: number;
  cost: number;
  /** What came after the time of day that it is now. */
  rest: number;
}

/** The last whole days. The day of the first costs is none: the gateway may have begun in the middle of it. */
function daysBefore(points: readonly CostPoint[], stepMs: number, nowMs: number, count: number): Day[] {
  const first = points.find(({ cost_usd: cost }) => cost !== null && cost > 0);
  if (!first) return [];
  const sinceMidnight = nowMs - dayStart(nowMs);
  const days: Day[] = [];
  for (let back = 1; back <= count; back += 1) {
    const [startMs, endMs] = [dayStart(nowMs, -back), dayStart(nowMs, 1 - back)];
    if (startMs <= first.at_ms) break;
    days.push({ startMs, cost: sumBetween(points, stepMs, startMs, endMs), rest: sumBetween(points, stepMs, startMs + sinceMidnight, endMs) });
  }
  return days;
}

/** Today so far, and what the rest of the day cost in the last week. `null` if that week says too little. */
export function forecastDay(points: readonly CostPoint[], stepMs: number, nowMs: number): Forecast | null {
  const rests = daysBefore(points, stepMs, nowMs, RECENT_DAYS).map((day) => day.rest);
  if (rests.length < LEAST_DAYS) return null;
  const soFar = sumBetween(points, stepMs, dayStart(nowMs), dayStart(nowMs, 1));
  return { soFar, expected: soFar + meanOf(rests), low: soFar + Math.min(...rests), high: soFar + Math.max(...rests), days: rests.length };
}

/** The month so far, the rest of today, and for each day to come what its weekday cost in the last four weeks. */
export function forecastMonth(points: readonly CostPoint[], stepMs: number, nowMs: number): Forecast | null {
  const today = forecastDay(points, stepMs, nowMs);
  const days = daysBefore(points, stepMs, nowMs, LONG_DAYS);
  if (!today || days.length < LEAST_DAYS) return null;
  const soFar = sumBetween(points, stepMs, monthStart(nowMs), dayStart(nowMs, 1));
  const mean = meanOf(days.map((day) => day.cost));
  let expected = soFar + today.expected - today.soFar;
  let coming = 1 - (nowMs - dayStart(nowMs)) / (dayStart(nowMs, 1) - dayStart(nowMs));
  for (let at = dayStart(nowMs, 1); at < monthStart(nowMs, 1); at = dayStart(at, 1)) {
    const alike = days.filter((day) => new Date(day.startMs).getDay() === new Date(at).getDay()).map((day) => day.cost);
    expected += alike.length < LEAST_DAYS ? mean : meanOf(alike);
    coming += 1;
  }
  const variance = meanOf(days.map((day) => (day.cost - mean) ** 2));
  const spread = Math.sqrt(variance * coming);
  return { soFar, expected, low: Math.max(soFar, expected - spread), high: expected + spread, days: days.length };
}
