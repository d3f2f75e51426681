/** Requests that are being served: what is told of one, and how fast its answer comes. Pure. */

import type { RunningRequest } from '@/api/types';

import type { RequestFilters } from './filters';
import { isKey } from './key_text';
import { includesNow } from './time_range';

/** A running request with the speed of its answer. */
export interface Followed {
  request: RunningRequest;
  /** Output tokens a second, of the last seconds; `null` as long as that is not known. */
  rate: number | null;
  /** When it was looked at, by the viewer's clock. */
  seenAtMs: number;
  /** The samples that the rate is made of: moment and tokens. */
  samples: readonly (readonly [number, number])[];
}

const WINDOW_MS = 5_000;
const SHORTEST_MS = 900;
/** From here on silence is worth a word, and then a warning. */
const QUIET_MS = 5_000;
const LONG_MS = 30_000;

/** What is known of these requests, given what was known of them before. */
export function follow(before: ReadonlyMap<string, Followed>, running: readonly RunningRequest[], nowMs: number): Map<string, Followed> {
  return new Map(running.map((request) => {
    const known = before.get(request.id)?.samples ?? [];
    const recent = known.filter(([atMs], index) => nowMs - atMs <= WINDOW_MS || index === known.length - 1);
    const samples = [...recent, [nowMs, request.output_tokens ?? 0] as const];
    return [request.id, { request, samples, seenAtMs: nowMs, rate: rateOf(samples) }];
  }));
}

function rateOf(samples: Followed['samples']): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last[0] - first[0] < SHORTEST_MS || last[1] === 0) return null;
  return Math.max(0, ((last[1] - first[1]) * 1000) / (last[0] - first[0]));
}

export type Silence = 'none' | 'quiet' | 'long';

/** Whether the upstream's silence is worth telling. */
export function silenceOf(silentMs: number | null | undefined): Silence {
  if (silentMs == null || silentMs < QUIET_MS) return 'none';
  return silentMs < LONG_MS ? 'quiet' : 'long';
}

/** Whether the list shows this request, which has no outcome yet. It goes on now: whether it began in the time that is looked at is no question. */
export function matchesRunning(request: RunningRequest, filters: RequestFilters, nowMs: number): boolean {
  // What only a request that is over has: no running one fits.
  const isOver = [filters.outcome, filters.status, filters.cause, filters.moved, filters.moved_by, filters.error_rule, filters.error_code, filters.compaction,
    filters.context_compacted, filters.thinking_action, filters.user, filters.group, filters.token].some((values) => values.length > 0);
  if (isOver || filters.prompt_id !== '') return false;
  if (!includesNow(filters, nowMs)) return false;
  const among = (wanted: readonly string[], value: string | null | undefined): boolean => wanted.length === 0 || (value != null && wanted.includes(value));
  if (!among(filters.model, request.model_asked) || !among(filters.upstream, request.upstream)) return false;
  if (!among(filters.request_class, request.request_class) || !among(filters.upstream_key, request.upstream_key)) return false;
  if (filters.agent_type.length > 0) return false;
  if (filters.key.length > 0 && !filters.key.some((key) => isKey(request.key ?? null, key))) return false;
  if (filters.session !== '' && request.session !== filters.session) return false;
  if (filters.path !== '' && request.path !== filters.path) return false;
  const wanted = filters.q.toLowerCase();
  return wanted === '' || [request.id, request.path, request.model_asked, request.session].some((value) => value?.toLowerCase().includes(wanted));
}
