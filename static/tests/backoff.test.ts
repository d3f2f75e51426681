import { describe, expect, it } from 'vitest';

import { backoffMs } from '@/lib/backoff';

describe('backoffMs', () => {
  const middle = (): number => 0.5;

  it('doubles from a second to half a minute', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 99].map((attempt) => backoffMs(attempt, middle))).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('varies by a fifth', () => {
    expect(backoffMs(0, () => 0)).toBe(800);
    expect(backoffMs(0, () => 1)).toBe(1200);
  });
});
