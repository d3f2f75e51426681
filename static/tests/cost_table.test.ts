import { describe, expect, it } from 'vitest';

import type { Group } from '@/api/types';
import { costRows, sortCosts } from '@/lib/cost_table';
import { csvOf } from '@/lib/csv';

const group = (name: string | null, cost_usd: number | null, requests = 10, unpriced_requests = 0): Group => ({
  name, key_name: null, cache_hit_rate: null, cost_usd, requests, unpriced_requests, completed: requests, failed: 0, success_rate: 1, has_price: null, estimated_requests: 0, estimated_output_tokens: 0,
  request_bytes: 0, response_bytes: 0, tokens: { input: 100, cache_write: 100, cache_read: 800, output: 50 },
  duration_ms: { count: 0, mean: null, p50: null, p90: null, p95: null, p99: null }, first_token_ms: { count: 0, mean: null, p50: null, p90: null, p95: null, p99: null },
});

describe('the table of costs', () => {
  const rows = costRows([group('b', 3, 4, 1), group('a', 1), group(null, null)]);

  it('tells the share in all costs, the cost of a request that has a price, and what came from a cache', () => {
    expect(rows.map(({ share }) => share)).toEqual([0.75, 0.25, null]);
    expect(rows.map(({ each }) => each)).toEqual([1, 0.1, null]);
    expect(rows[0]?.cached).toBe(0.8);
  });

  it('is sorted by each column, and what is not known is last either way', () => {
    const names = (column: 'cost' | 'name' | 'each', isReversed: boolean): (string | null)[] => sortCosts(rows, column, isReversed).map((row) => row.group.name);
    expect(names('cost', false)).toEqual(['b', 'a', null]);
    expect(names('cost', true)).toEqual(['a', 'b', null]);
    expect(names('name', false)).toEqual(['a', 'b', null]);
    expect(names('each', false)).toEqual(['b', 'a', null]);
  });
});

describe('a table as CSV', () => {
  it('begins with a byte order mark, and quotes what has to be quoted', () => {
    expect(csvOf(['名称', 'cost'], [['a,"b"', 0.5], ['x\ny', null]])).toBe('\uFEFF名称,cost\r\n"a,""b""",0.5\r\n"x\ny",\r\n');
  });

  it('has no formulas in it, whatever clients call their models', () => {
    expect(csvOf(['n'], [['=HYPERLINK(1)'], ['+1'], ['@x'], [-1]])).toBe("\uFEFFn\r\n'=HYPERLINK(1)\r\n'+1\r\n'@x\r\n-1\r\n");
  });
});
