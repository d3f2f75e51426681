/** The requests behind a number: the query of the page of requests. */

import type { GroupBy } from '@/api/types';

/** What costs are grouped by. */
export const COST_DIMENSIONS = ['model', 'key', 'session', 'upstream', 'request_class', 'agent_type', 'client'] as const satisfies readonly GroupBy[];
export type CostDimension = (typeof COST_DIMENSIONS)[number];

/** What groups beyond those that are counted by name are called. */
const OTHER = 'other';
/** What is counted by name up to a bound. */
const BOUNDED: readonly CostDimension[] = ['model', 'request_class'];

/** Whether a group is those beyond the bound. */
export function isOther(by: CostDimension, name: string | null): boolean {
  return name === OTHER && BOUNDED.includes(by);
}

/** The filter that finds the requests of a group; `null` if none does. */
export function groupFilter(by: CostDimension, name: string | null): Record<string, string> | null {
  if (isOther(by, name)) return null;
  return name === null || name === '' ? { without: by } : { [by]: name };
}
