import { OUTCOMES, type Outcome } from '@/api/types';

/** Every outcome but `completed`, `unreadable`, `client_aborted`, `client_stalled` and `rejected`, as the API counts. */
export function failuresOf(outcomes: Record<Outcome, number>): number {
  const NO_FAILURES: readonly Outcome[] = ['completed', 'unreadable', 'client_aborted', 'client_stalled', 'rejected'];
  return OUTCOMES.reduce((sum, outcome) => sum + (NO_FAILURES.includes(outcome) ? 0 : outcomes[outcome]), 0);
}

/** The share of each entry in the sum of all. */
export function sharesOf(counts: readonly number[]): number[] {
  const sum = counts.reduce((all, count) => all + count, 0);
  return counts.map((count) => (sum > 0 ? count / sum : 0));
}
