import type { Outcome } from '@/api/types';

export type Tone = 'ok' | 'warn' | 'bad' | 'quiet';

/** How an outcome is coloured: what the client gave up or the gateway refused is nobody's failure. */
export const OUTCOME_TONES: Record<Outcome, Tone> = {
  completed: 'ok',
  upstream_error: 'bad',
  stream_error: 'bad',
  truncated: 'bad',
  stalled: 'bad',
  unreachable: 'bad',
  gateway_error: 'bad',
  rejected: 'warn',
  client_aborted: 'quiet',
  client_stalled: 'quiet',
  unreadable: 'quiet',
};
