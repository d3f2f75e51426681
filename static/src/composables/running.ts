/** The requests that are being served: from the live feed, and asked for where the feed does not tell of all. */

import { computed, onScopeDispose, ref, shallowRef } from 'vue';

import { api } from '@/api/api';
import { onLive } from '@/api/live';
import type { RunningRequest } from '@/api/types';
import { follow, type Followed } from '@/lib/running';

import { useResource } from './resource';

/** How often all are asked for while there are more than the feed tells of. */
const ALL_EVERY_MS = 3_000;

export function useRunning() {
  const known = shallowRef<ReadonlyMap<string, Followed>>(new Map());
  /** How many are not told of. */
  const more = ref(0);
  let askedAtMs = 0;

  function take(running: readonly RunningRequest[], others: number): void {
    known.value = follow(known.value, running, Date.now());
    more.value = others;
  }
  const all = useResource(async (signal) => {
    const answer = await api.running(signal);
    if (!signal.aborted) take(answer.running, answer.more);
  });
  function ask(): void {
    askedAtMs = Date.now();
    void all.load();
  }
  onScopeDispose(onLive('second', (second) => {
    if (second.more === 0) take(second.running, 0);
    else if (Date.now() - askedAtMs >= ALL_EVERY_MS) ask();
  }));
  // One that is over is no longer shown, even before the next second.
  onScopeDispose(onLive('request', (row) => {
    if (!known.value.has(row.id)) return;
    known.value = new Map([...known.value].filter(([id]) => id !== row.id));
  }));
  ask();

  /** Newest first, as the log lists them. */
  const running = computed(() => [...known.value.values()].sort((a, b) => b.request.started_at_ms - a.request.started_at_ms));
  return { running, more };
}
