import { describe, expect, it } from 'vitest';

import { type CostPoint, dayStart, forecastDay, forecastFrom, forecastMonth, monthStart } from '@/lib/forecast';

const HOUR_MS = 3_600_000;
/** A Saturday, at noon of the reader's zone. */
const NOW = new Date(2026, 10, 28, 12).getTime();

/** Hours up to now from `days` days ago on, each with what `cost` says of its day before today and its hour. */
function hours(days: number, cost: (daysAgo: number, hour: number) => number | null): CostPoint[] {
  const points: CostPoint[] = [];
  for (let at = dayStart(NOW, -days); at < NOW; at += HOUR_MS) {
    const daysAgo = Math.round((dayStart(NOW) - dayStart(at)) / (24 * HOUR_MS));
    points.push({ at_ms: at, cost_usd: cost(daysAgo, new Date(at).getHours()) });
  }
  return points;
}

describe('the forecast of a day', () => {
  it('is what it cost so far, and what the rest of the day usually costs', () => {
    // A dollar an hour in the mornings, two in the afternoons, today half of that.
    const points = hours(10, (daysAgo, hour) => (daysAgo === 0 ? 0.5 : hour < 12 ? 1 : 2));
    expect(forecastDay(points, HOUR_MS, NOW)).toEqual({ soFar: 6, expected: 30, low: 30, high: 30, days: 7 });
  });

  it('lies between the quietest and the dearest of the last days', () => {
    const points = hours(10, (daysAgo) => (daysAgo > 7 ? 100 : daysAgo));
    const forecast = forecastDay(points, HOUR_MS, NOW);
    expect(forecast).toMatchObject({ soFar: 0, low: 12, high: 84 });
    expect(forecast?.expected).toBeCloseTo(48, 9);
  });

  it('takes of a step that has begun what is left of it', () => {
    const points = hours(10, () => 1);
    expect(forecastDay(points, HOUR_MS, NOW + HOUR_MS / 4)?.expected).toBeCloseTo(12 + 11.75, 9);
  });

  it('is not made of a single day, nor of the day on which costs began', () => {
    expect(forecastDay([], HOUR_MS, NOW)).toBeNull();
    expect(forecastDay(hours(10, () => null), HOUR_MS, NOW)).toBeNull();
    expect(forecastDay(hours(2, (daysAgo, hour) => (daysAgo === 2 && hour < 9 ? null : 1)), HOUR_MS, NOW)).toBeNull();
    expect(forecastDay(hours(3, (daysAgo, hour) => (daysAgo === 3 && hour < 9 ? null : 1)), HOUR_MS, NOW)?.days).toBe(2);
  });
});

describe('the forecast of a month', () => {
  it('adds the days to come, each as dear as its weekday was', () => {
    // Weekends are free; 27 whole days of November are over, today's morning too.
    const points = hours(40, (daysAgo) => ([0, 6].includes(new Date(dayStart(NOW, -daysAgo)).getDay()) ? 0 : 1));
    const forecast = forecastMonth(points, HOUR_MS, NOW);
    // Twenty weekdays so far, of today an afternoon as in the last week, nothing on Sunday, and Monday.
    expect(forecast).toMatchObject({ soFar: 480, days: 28 });
    expect(forecast?.expected).toBeCloseTo(480 + (5 * 12) / 7 + 24, 9);
    expect(forecast?.low).toBeGreaterThanOrEqual(480);
    expect(forecast?.high).toBeGreaterThan(504);
  });

  it('takes the mean of all days where there are too few of a weekday', () => {
    const forecast = forecastMonth(hours(4, (daysAgo) => (daysAgo === 0 ? 0 : 2)), HOUR_MS, NOW);
    expect(forecast?.soFar).toBe(192);
    expect(forecast?.expected).toBeCloseTo(192 + 24 + 2 * 48, 9);
    expect(forecast?.days).toBe(3);
  });

  it('needs what began with the month, or four weeks ago', () => {
    expect(forecastFrom(NOW)).toBe(dayStart(NOW, -28));
    const end = new Date(2026, 11, 31, 23).getTime();
    expect(forecastFrom(end)).toBe(monthStart(end));
  });
});
