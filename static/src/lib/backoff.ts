/** How long to wait before attempt number `attempt` (from 0): twice as long each time, give or take a fifth. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const FIRST_MS = 1000;
  const LONGEST_MS = 30_000;
  const base = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  // Many panels must not come back to a restarted gateway in the same moment.
  return Math.round(base * (0.8 + 0.4 * random()));
}
