/** The API's groups of errors, put together by their cause, and within a cause by their upstream. */

import type { Cause, ErrorGroup } from '@/api/types';

interface Sum {
  count: number;
  firstAtMs: number;
  lastAtMs: number;
  groups: ErrorGroup[];
}

export interface ErrorsOfUpstream extends Sum {
  /** `null` for those that reached none. */
  upstream: string | null;
}

export interface CauseOfErrors extends Sum {
  cause: Cause;
  upstreams: ErrorsOfUpstream[];
}

function sumOf(groups: ErrorGroup[]): Sum {
  return {
    count: groups.reduce((sum, group) => sum + group.count, 0),
    firstAtMs: Math.min(...groups.map((group) => group.first_at_ms)),
    lastAtMs: Math.max(...groups.map((group) => group.last_at_ms)),
    groups,
  };
}

function groupedBy<K>(groups: readonly ErrorGroup[], key: (group: ErrorGroup) => K): [K, ErrorGroup[]][] {
  const found = new Map<K, ErrorGroup[]>();
  for (const group of groups) {
    const known = found.get(key(group));
    if (known) known.push(group);
    else found.set(key(group), [group]);
  }
  return [...found];
}

const mostFirst = (a: Sum, b: Sum): number => b.count - a.count;

/** Most frequent causes first, and within them the upstreams with most. */
export function byCause(groups: readonly ErrorGroup[]): CauseOfErrors[] {
  return groupedBy(groups, ({ cause }) => cause)
    .map(([cause, ofCause]) => ({
      cause,
      ...sumOf(ofCause),
      upstreams: groupedBy(ofCause, ({ upstream }) => upstream).map(([upstream, of]) => ({ upstream, ...sumOf(of) })).sort(mostFirst),
    }))
    .sort(mostFirst);
}
