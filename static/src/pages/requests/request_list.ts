/** The rows that match the filters: page after page from the API, and from the live feed as they end. */

import { computed, onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue';

import { api } from '@/api/api';
import { onLive } from '@/api/live';
import type { RequestRow } from '@/api/types';
import { useResource } from '@/composables/resource';
import { filtersToParameters, matchesFilters, type RequestFilters } from '@/lib/filters';

const PAGE = 100;
/** Rows that wait above the list; beyond it the list is asked for anew. */
const MOST_WAITING = 500;
/** Rows that the feed may add to a list that stays open; beyond it the list is asked for anew. */
const MOST_FED = 2_000;

export function useRequestList(filters: Ref<RequestFilters>) {
  const rows = shallowRef<readonly RequestRow[]>([]);
  /** Rows that ended while the viewer was further down. */
  const waiting = shallowRef<readonly RequestRow[]>([]);
  const isAtTop = ref(true);
  const isFollowing = ref(true);
  const cursor = ref<string | null>(null);
  const known = new Set<string>();
  let fed = 0;
  let parameters: Record<string, string> = {};

  let isFirst = true;
  const { error, isLoading, load } = useResource(async (signal) => {
    const isNew = isFirst;
    // The bounds of a moving stretch stay for all pages of one list: a cursor belongs to its question.
    if (isNew) parameters = filtersToParameters(filters.value, Date.now());
    const page = await api.requests({ ...parameters, limit: PAGE, ...(isNew ? {} : { cursor: cursor.value ?? '' }) }, signal);
    if (signal.aborted) return;
    if (isNew) {
      known.clear();
      fed = 0;
      waiting.value = [];
    }
    rows.value = (isNew ? [] : rows.value).concat(unknown(page.requests));
    cursor.value = page.next_cursor;
  });

  async function ask(isFirstPage: boolean): Promise<void> {
    isFirst = isFirstPage;
    error.value = null;
    await load();
  }

  /** Those that the list does not have; from now on it has them. */
  function unknown(some: readonly RequestRow[]): RequestRow[] {
    return some.filter((row) => {
      const isNew = !known.has(row.id);
      known.add(row.id);
      return isNew;
    });
  }

  function showWaiting(): void {
    fed += waiting.value.length;
    if (waiting.value.length >= MOST_WAITING || fed > MOST_FED) {
      void ask(true);
      return;
    }
    // The feed tells of ends, the list is in the order of beginnings.
    rows.value = unknown(waiting.value).concat(rows.value).sort((a, b) => b.started_at_ms - a.started_at_ms);
    waiting.value = [];
  }

  onScopeDispose(
    onLive('requests', (ended) => {
      if (!isFollowing.value) return;
      const matching = ended.filter((row) => matchesFilters(row, filters.value));
      if (matching.length === 0) return;
      waiting.value = [...matching.reverse(), ...waiting.value].slice(0, MOST_WAITING);
      if (isAtTop.value && !isLoading.value) showWaiting();
    }),
  );
  // After a gap of the feed, what ended meanwhile was not told.
  onScopeDispose(
    onLive('config', ({ version }) => {
      if (version === '' && isFollowing.value && isAtTop.value) void ask(true);
    }),
  );
  watch(filters, () => void ask(true), { immediate: true });

  return {
    rows,
    waiting,
    error,
    isLoading,
    isAtTop,
    isFollowing,
    hasMore: computed(() => cursor.value !== null),
    reload: () => ask(true),
    more: () => {
      if (!isLoading.value && cursor.value !== null && error.value === null) void ask(false);
    },
    retry: () => ask(rows.value.length === 0),
    showWaiting,
  };
}
