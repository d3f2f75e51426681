import { describe, expect, it } from 'vitest';

import { stepsBetween } from '@/lib/chart_span';

describe('stepsBetween', () => {
  const atMs = [100, 110, 120, 130];

  it('takes the whole of each step that is touched', () => {
    expect(stepsBetween(112, 121, atMs)).toEqual({ from: 110, to: 130 });
    expect(stepsBetween(110, 120, atMs)).toEqual({ from: 110, to: 120 });
  });

  it('takes one step at least, and none beyond the ends', () => {
    expect(stepsBetween(123, 123, atMs)).toEqual({ from: 120, to: 130 });
    expect(stepsBetween(130, 130, atMs)).toEqual({ from: 130, to: 140 });
    expect(stepsBetween(20, 400, atMs)).toEqual({ from: 100, to: 140 });
    expect(stepsBetween(-5, -3, atMs)).toEqual({ from: 100, to: 110 });
  });

  it('knows nothing of a chart without points, and takes a single one for a minute', () => {
    expect(stepsBetween(1, 2, [])).toBeNull();
    expect(stepsBetween(1, 2, [0])).toEqual({ from: 0, to: 60_000 });
  });
});
