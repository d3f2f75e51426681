/** The lanes of a session's timeline: one for each agent, and one for those that are too many for a lane of their own. */

import type { Conversation } from '@/api/types';

type Timeline = Conversation['timeline'];

export interface Bucket {
  index: number;
  requests: number;
  failed: number;
}
export interface Lane {
  name: string | null;
  /** How many agents share it. */
  agents: number;
  buckets: Bucket[];
}

/** The first lane is the main conversation's, the others in the order in which `names` has them. */
export function timelineLanes({ agents }: Timeline, names: readonly (string | null)[], most: number): Lane[] {
  const place = (name: string | null): number => (name === null ? -1 : names.indexOf(name));
  const sorted = [...agents].sort((a, b) => place(a.name) - place(b.name));
  const own = sorted.length > most ? sorted.slice(0, most - 1) : sorted;
  const shared = sorted.slice(own.length);
  const lanes = own.map((agent): Lane => ({ name: agent.name, agents: 1, buckets: agent.buckets.map(bucketOf) }));
  if (shared.length === 0) return lanes;
  const sums = new Map<number, Bucket>();
  for (const { index, requests, failed } of shared.flatMap((agent) => agent.buckets.map(bucketOf))) {
    const sum = sums.get(index) ?? { index, requests: 0, failed: 0 };
    sums.set(index, { index, requests: sum.requests + requests, failed: sum.failed + failed });
  }
  return [...lanes, { name: null, agents: shared.length, buckets: [...sums.values()].sort((a, b) => a.index - b.index) }];
}

function bucketOf([index, requests, failed]: Timeline['agents'][number]['buckets'][number]): Bucket {
  return { index, requests, failed };
}
