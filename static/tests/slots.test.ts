import { describe, expect, it } from 'vitest';

import { assignSlots } from '@/lib/slots';

const slots = (map: ReadonlyMap<string, number>): Record<string, number> => Object.fromEntries(map);

describe('elements of a list', () => {
  const first = assignSlots(new Map(), ['a', 'b', 'c']);

  it('are numbered at first', () => {
    expect(slots(first)).toEqual({ a: 0, b: 1, c: 2 });
  });

  it('stay with what stays, and go to what comes from what goes, in order', () => {
    expect(slots(assignSlots(first, ['x', 'a', 'b']))).toEqual({ x: 2, a: 0, b: 1 });
    expect(slots(assignSlots(first, ['x', 'y', 'z']))).toEqual({ x: 0, y: 1, z: 2 });
  });

  it('become more where there are too few, and no two are the same', () => {
    expect(slots(assignSlots(first, ['x', 'y', 'a', 'b', 'c']))).toEqual({ x: 3, y: 4, a: 0, b: 1, c: 2 });
    const twice = assignSlots(assignSlots(first, ['c']), ['c', 'd', 'e']);
    expect(new Set(twice.values()).size).toBe(3);
  });

  it('that hold the focus are given to nobody else', () => {
    expect(slots(assignSlots(first, ['x', 'y', 'z'], 0))).toEqual({ x: 1, y: 2, z: 3 });
    expect(slots(assignSlots(first, ['a', 'x', 'y'], 0))).toEqual({ a: 0, x: 1, y: 2 });
  });
});
