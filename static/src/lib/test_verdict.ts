/** What a test of an upstream comes to: the worst of all that it shows. */

import type { UpstreamTest } from '@/api/types';

export type Verdict = 'ok' | 'warn' | 'bad';

/** A way that the gateway does not take can warn, but not fail the upstream. */
export function verdictOf({ reachable, verdict, ways }: UpstreamTest): Verdict {
  if (!reachable || verdict === 'problem') return 'bad';
  let worst: Verdict = verdict === 'ok' ? 'ok' : 'warn';
  for (const { used_by_gateway: isUsed, steps, findings } of ways) {
    if (isUsed && findings.some(({ severity }) => severity === 'problem')) return 'bad';
    if (steps.some(({ ok }) => !ok) || findings.some(({ severity }) => severity !== 'ok')) worst = 'warn';
  }
  return worst;
}
