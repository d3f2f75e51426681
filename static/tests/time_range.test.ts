import { describe, expect, it, vi } from 'vitest';

import { ALL_TIME, isMoving, rangeBounds, RANGES, refreshOf, spanBounds, spanFromQuery, spanOf, spanToQuery, stepOf } from '@/lib/time_range';

const HOUR = 3_600_000;
const at = (...parts: [number, number, number, number?, number?]): number => new Date(...parts).getTime();

describe('rangeBounds', () => {
  it('begins days, weeks and months at midnight where the reader is', () => {
    const now = at(2026, 10, 18, 15, 30);
    expect(rangeBounds('today', now)).toEqual({ from: at(2026, 10, 18), to: now });
    expect(rangeBounds('yesterday', now)).toEqual({ from: at(2026, 10, 17), to: at(2026, 10, 18) });
    expect(rangeBounds('week', now)).toEqual({ from: at(2026, 10, 16), to: now });
    expect(rangeBounds('month', now)).toEqual({ from: at(2026, 10, 1), to: now });
    expect(rangeBounds('24h', now)).toEqual({ from: now - 24 * HOUR, to: now });
  });

  it('begins the week with Monday on a Sunday and on a Monday', () => {
    expect(rangeBounds('week', at(2026, 10, 22, 1)).from).toBe(at(2026, 10, 16));
    expect(rangeBounds('week', at(2026, 10, 23, 1)).from).toBe(at(2026, 10, 23));
    expect(rangeBounds('week', at(2026, 2, 1, 1)).from).toBe(at(2026, 1, 23));
  });

  it('knows days of 23 and 25 hours', () => {
    vi.stubEnv('TZ', 'Europe/Berlin');
    try {
      const spring = rangeBounds('yesterday', at(2026, 2, 30, 12));
      const autumn = rangeBounds('yesterday', at(2026, 9, 26, 12));
      expect([spring.to - spring.from, autumn.to - autumn.from]).toEqual([23 * HOUR, 25 * HOUR]);
      expect(rangeBounds('today', Date.UTC(2026, 10, 17, 23, 30)).from).toBe(Date.UTC(2026, 10, 17, 23));
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('a span in the URL', () => {
  it('survives the way there and back', () => {
    for (const span of [...RANGES.map(spanOf), { range: null, from: 5, to: 9 }, { range: null, from: 5, to: null }, { range: null, from: null, to: 9 }, ALL_TIME]) {
      expect(spanFromQuery(spanToQuery(span))).toEqual(span);
    }
    expect(spanToQuery({ range: null, from: 5, to: 9 })).toEqual({ range: 'custom', from: '5', to: '9' });
  });

  it('is all time if it makes no sense', () => {
    for (const query of [{}, { range: 'soon' }, { range: ['1h'] }, { range: 'custom' }, { from: '-3', to: '1e999' }, { from: '9', to: '5' }, { from: 5 }]) {
      expect(spanFromQuery(query)).toEqual(ALL_TIME);
    }
  });
});

describe('spanBounds', () => {
  it('closes what is open', () => {
    const now = at(2026, 10, 18);
    expect(spanBounds({ range: null, from: 5, to: 9 }, now)).toEqual({ from: 5, to: 9 });
    expect(spanBounds({ range: null, from: 5, to: null }, now)).toEqual({ from: 5, to: now });
    expect(spanBounds({ range: null, from: now + 7, to: null }, now).to).toBeGreaterThan(now + 7);
    expect(spanBounds({ range: null, from: null, to: now }, now)).toEqual({ from: now - 30 * 24 * HOUR, to: now });
  });

  it('says whether time goes on', () => {
    const now = at(2026, 10, 18, 12);
    expect(RANGES.filter((range) => !isMoving(spanOf(range), now))).toEqual(['yesterday']);
    expect(isMoving({ range: null, from: 5, to: now - 1 }, now)).toBe(false);
  });
});

describe('stepOf', () => {
  const now = at(2026, 10, 18, 12, 7);
  it('makes at most a hundred points of whole minutes', () => {
    const years = { from: now - 4 * 365 * 24 * HOUR, to: now };
    for (const bounds of [...RANGES.map((range) => rangeBounds(range, now)), { from: now - 60_000, to: now }, years]) {
      const step = stepOf(bounds, now);
      expect(step % 60_000).toBe(0);
      expect((bounds.to - bounds.from) / step).toBeLessThanOrEqual(100);
      expect(refreshOf(bounds)).toBeGreaterThanOrEqual(5_000);
    }
  });

  it('keeps to the steps of the usual ranges', () => {
    expect((['15m', '1h', '6h', '24h', '7d', '30d'] as const).map((range) => stepOf(rangeBounds(range, now), now) / 60_000)).toEqual([1, 1, 5, 15, 120, 480]);
  });

  it('has whole quarters of an hour where there are no sums of minutes any more', () => {
    expect(stepOf({ from: now - 80 * HOUR, to: now - 79 * HOUR }, now)).toBe(15 * 60_000);
    expect(stepOf({ from: now - 60 * HOUR, to: now - 59 * HOUR }, now)).toBe(60_000);
  });
});
