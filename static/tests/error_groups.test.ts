import { describe, expect, it } from 'vitest';

import type { ErrorGroup } from '@/api/types';
import { byCause } from '@/lib/error_groups';

const group = (cause: string, upstream: string | null, count: number, at: number): ErrorGroup =>
  ({ cause, upstream, count, first_at_ms: at, last_at_ms: at + 5, example_id: `${cause}-${upstream ?? ''}-${at}` }) as ErrorGroup;

describe('errors', () => {
  it('are one cause each, with the upstreams that had it inside, those with most first', () => {
    const found = byCause([group('quota', 'a', 3, 10), group('network', 'a', 4, 20), group('quota', 'b', 5, 30), group('quota', 'a', 1, 40), group('network', null, 1, 50)]);
    expect(found.map(({ cause, count, firstAtMs, lastAtMs }) => [cause, count, firstAtMs, lastAtMs])).toEqual([['quota', 9, 10, 45], ['network', 5, 20, 55]]);
    expect(found[0]?.upstreams.map(({ upstream, count, groups }) => [upstream, count, groups.length])).toEqual([['b', 5, 1], ['a', 4, 2]]);
    expect(found[1]?.upstreams.map(({ upstream }) => upstream)).toEqual(['a', null]);
  });
});
