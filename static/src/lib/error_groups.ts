/** The API's groups of errors, put together by their cause. */

import type { Cause, ErrorGroup } from '@/api/types';

export interface CauseOfErrors {
  cause: Cause;
  count: number;
  firstAtMs: number;
  lastAtMs: number;
  groups: ErrorGroup[];
}

/** Most frequent causes first. */
export function byCause(groups: readonly ErrorGroup[]): CauseOfErrors[] {
  const causes = new Map<Cause, CauseOfErrors>();
  for (const group of groups) {
    const { cause } = group;
    const known = causes.get(cause);
    if (known) {
      known.count += group.count;
      known.firstAtMs = Math.min(known.firstAtMs, group.first_at_ms);
      known.lastAtMs = Math.max(known.lastAtMs, group.last_at_ms);
      known.groups.push(group);
    } else {
      causes.set(cause, { cause, count: group.count, firstAtMs: group.first_at_ms, lastAtMs: group.last_at_ms, groups: [group] });
    }
  }
  return [...causes.values()].sort((a, b) => b.count - a.count);
}
