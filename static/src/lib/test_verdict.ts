/** What a test of an upstream comes to: the worst of all that it shows. */

import type { TestStep, UpstreamTest } from '@/api/types';

export type Verdict = 'ok' | 'warn' | 'bad';

/** Whether a step failed in all that was tried of it: of several addresses one is enough. */
function hasFailed(steps: readonly TestStep[]): boolean {
  return steps.some(({ step }) => steps.every((one) => one.step !== step || !one.ok));
}

/** A way that the gateway does not take can warn, but not fail the upstream. */
export function verdictOf({ reachable, verdict, ways }: UpstreamTest): Verdict {
  if (!reachable || verdict === 'problem') return 'bad';
  let worst: Verdict = verdict === 'ok' ? 'ok' : 'warn';
  for (const { used_by_gateway: isUsed, steps, findings } of ways) {
    if (isUsed && (findings.some(({ severity }) => severity === 'problem') || hasFailed(steps))) return 'bad';
    if (steps.some(({ ok }) => !ok) || findings.some(({ severity }) => severity !== 'ok')) worst = 'warn';
  }
  return worst;
}
