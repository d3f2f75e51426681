import { describe, expect, it } from 'vitest';

import { formatAgo, formatBytes, formatClock, formatCompact, formatCost, formatCosts, formatDuration, formatElapsed, formatLasting, formatMoment, formatNumber, formatShare } from '@/lib/format';

/** Spaces that do not break look the same and compare differently. */
const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, ' ');
const duration = (locale: string, ms: number): string => plain(formatDuration(locale, ms));

describe('formatLasting', () => {
  it('is in whole minutes beyond one, and never negative', () => {
    expect(plain(formatLasting('en', 0, 59_700))).toBe('59 s');
    expect(plain(formatLasting('en', 0, 179_000))).toBe('2 min');
    expect(plain(formatLasting('en', 0, 26 * 3_600_000 + 5))).toBe('1 d 2 h');
    expect(plain(formatLasting('en', 5000, 0))).toBe('0 s');
  });
});

describe('formatElapsed', () => {
  it('is in whole seconds', () => {
    expect([-5, 999, 9_960, 59_990, 61_400].map((ms) => plain(formatElapsed('en', ms)))).toEqual(['0 s', '0 s', '9 s', '59 s', '1 min 1 s']);
    expect(plain(formatElapsed('zh-CN', 20_900))).toBe('20 秒');
  });
});

describe('numbers', () => {
  it('follow the language', () => {
    expect(formatNumber('en', 1_234_567)).toBe('1,234,567');
    expect(formatCompact('en', 9_999)).toBe('9,999');
    expect(formatCompact('en', 12_345)).toBe('12.3K');
    expect(formatCompact('zh-CN', 12_345)).toBe('1.23万');
    expect(formatCompact('zh-CN', 234_000_000)).toBe('2.34亿');
  });

  it('that are not known are not 0', () => {
    for (const format of [formatNumber, formatCompact, formatShare, formatCost, formatDuration, formatBytes]) {
      expect(format('en', null)).toBe('–');
      expect(format('en', undefined)).toBe('–');
    }
    expect(duration('en', 0)).toBe('0 ms');
  });

  it('never round a share up to all', () => {
    expect(formatShare('en', 1)).toBe('100%');
    expect(formatShare('en', 0.99999)).toBe('99.99%');
    expect(formatShare('en', 0.958)).toBe('95.8%');
    expect(formatShare('en', 0)).toBe('0%');
  });

  it('give shares one digit behind the point, so that they stand under each other', () => {
    expect([0.31, 0.9, 0.4591, 0.0004].map((value) => formatShare('en', value))).toEqual(['31.0%', '90.0%', '45.9%', '<0.1%']);
  });

  it('show small costs', () => {
    expect(formatCost('en', 12.345)).toBe('$12.35');
    expect(formatCost('en', 0.02)).toBe('$0.020');
    expect(formatCost('zh-CN', 0.0009)).toBe('$0.0009');
    expect(formatCost('en', 0.000046)).toBe('$0.000046');
    expect(formatCost('en', 0)).toBe('$0.00');
  });

  it('never let requests without a price look free', () => {
    const text = (cost_usd: number | null, unpriced_requests: number): string => formatCosts('en', { cost_usd, unpriced_requests });
    expect([text(null, 0), text(null, 149)]).toEqual(['–', '–']);
    expect([text(1.25, 149), text(1.25, 0), text(0, 0)]).toEqual(['≥ $1.25', '$1.25', '$0.00']);
  });
});

describe('sizes and durations', () => {
  it('change their unit', () => {
    expect([0, 999, 1000, 5300, 9_996, 27_140, 59_960, 134_000, 3_600_000, 10_920_000, 90_000_000].map((ms) => duration('en', ms))).toEqual([
      '0 ms', '999 ms', '1.00 s', '5.30 s', '10.0 s', '27.1 s', '1 min', '2 min 14 s', '1 h', '3 h 2 min', '1 d 1 h',
    ]);
    expect([221, 6_630, 60_000, 108_000, 7_260_000].map((ms) => duration('zh-CN', ms))).toEqual(['221 毫秒', '6.63 秒', '1 分钟', '1 分 48 秒', '2 小时 1 分钟']);
    expect([0, 1023, 1024, 51_200, 1_300_000].map((bytes) => formatBytes('en', bytes))).toEqual(['0 B', '1,023 B', '1 KiB', '50 KiB', '1.2 MiB']);
  });
});

describe('a duration', () => {
  it('has no place where a line could end', () => {
    for (const ms of [5, 5300, 1_879_000, 7_260_000, 90_000_000]) expect(formatDuration('en', ms)).not.toContain(' ');
    expect(formatElapsed('en', 5000)).not.toContain(' ');
  });
});

describe('moments', () => {
  const noon = new Date(2026, 10, 24, 12, 0, 5).getTime();

  it('have a date only on other days', () => {
    expect(formatClock('en', noon, noon + 1000)).toBe('12:00:05');
    expect(plain(formatClock('en', noon, noon + 86_400_000))).toBe('Nov 24, 12:00:05');
    expect(formatClock('zh-CN', noon, noon + 86_400_000)).toContain('11月24日');
  });

  it('name their zone', () => {
    expect(plain(formatMoment('en', noon))).toMatch(/^Nov 24, 2026, 12:00:05 \S+$/);
  });

  it('are told from now', () => {
    expect(formatAgo('en', noon, noon + 3_000)).toBe('3 sec. ago');
    expect(formatAgo('en', noon, noon + 3_600_000)).toBe('1 hr. ago');
    expect(formatAgo('zh-CN', noon, noon + 300_000)).toBe('5 分钟前');
  });
});
