/** The table of costs: what each group has of the whole, and in which order. */

import type { Group } from '@/api/types';

import { inputTokens } from './tokens';

export const COST_COLUMNS = ['name', 'cost', 'share', 'requests', 'each', 'cached', 'input', 'cacheWrite', 'cacheRead', 'output'] as const;
export type CostColumn = (typeof COST_COLUMNS)[number];

export interface CostRow {
  group: Group;
  cost: number | null;
  /** Of all that the groups cost together. */
  share: number | null;
  requests: number;
  /** What a request with a price cost. */
  each: number | null;
  /** How much of the input came from a cache. */
  cached: number | null;
  input: number;
  cacheWrite: number;
  cacheRead: number;
  output: number;
}

type Sums = Pick<Group, 'requests' | 'cost_usd' | 'unpriced_requests' | 'tokens'>;

/** The figures of one group, or of all together. */
export function costFigures({ requests, cost_usd: cost, unpriced_requests: unpriced, tokens }: Sums): Omit<CostRow, 'group' | 'share'> {
  const input = inputTokens(tokens);
  const priced = requests - unpriced;
  return {
    cost, requests, each: cost !== null && priced > 0 ? cost / priced : null, cached: input > 0 ? tokens.cache_read / input : null,
    input: tokens.input, cacheWrite: tokens.cache_write, cacheRead: tokens.cache_read, output: tokens.output,
  };
}

export function costRows(groups: readonly Group[]): CostRow[] {
  const all = groups.reduce((sum, group) => sum + (group.cost_usd ?? 0), 0);
  return groups.map((group) => {
    const figures = costFigures(group);
    return { group, ...figures, share: all > 0 && figures.cost !== null ? figures.cost / all : null };
  });
}

/** Largest first, or names from A on; what is not known is last either way. */
export function sortCosts(rows: readonly CostRow[], column: CostColumn, isReversed: boolean): CostRow[] {
  const turn = isReversed ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = column === 'name' ? [a.group.name, b.group.name] : [a[column], b[column]];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    const order = typeof left === 'string' ? left.localeCompare(String(right)) : Number(right) - left;
    return order * turn;
  });
}
