/** How an upstream does, in one word. */

import type { Upstream } from '@/api/types';

export type UpstreamState = Upstream['circuit'] | 'drained' | 'failing' | 'untried';

/** An upstream that is still used may fail already, or may never have been asked. */
export function stateOf(upstream: Upstream): UpstreamState {
  if (upstream.is_drained) return 'drained';
  if (upstream.circuit !== 'closed') return upstream.circuit;
  if (upstream.failures_in_a_row > 0) return 'failing';
  return upstream.good + upstream.bad === 0 ? 'untried' : 'closed';
}
