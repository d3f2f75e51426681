/** The sessions that are asked for: page after page, and the first one again and again. */

import { computed, ref, shallowRef, watch, type Ref } from 'vue';

import { api, type Parameters } from '@/api/api';
import type { SessionSummary } from '@/api/types';
import { useRefresh, useResource } from '@/composables/resource';

const PAGE = 100;
const REFRESH_MS = 5_000;

/** `asked` gives the parameters at the moment at which it is called; `key` is another one when something else is asked. */
export function useSessionList(key: Ref<string>, asked: () => Parameters) {
  const sessions = shallowRef<readonly SessionSummary[]>([]);
  const total = ref<number | null>(null);
  const cursor = ref<string | null>(null);
  const isAtTop = ref(true);
  let parameters: Parameters = {};
  let isFirst = true;

  const { error, isLoading, load } = useResource(async (signal) => {
    const isNew = isFirst;
    // All pages of one list have the same bounds: a cursor belongs to its question.
    if (isNew) parameters = asked();
    const page = await api.sessions({ ...parameters, limit: PAGE, cursor: isNew ? undefined : (cursor.value ?? undefined) }, signal);
    if (signal.aborted) return;
    const known = new Set(isNew ? [] : sessions.value.map((one) => one.session));
    sessions.value = (isNew ? [] : sessions.value).concat(page.sessions.filter((one) => !known.has(one.session)));
    total.value = page.total;
    cursor.value = page.next_cursor;
  });
  async function ask(isFirstPage: boolean): Promise<void> {
    isFirst = isFirstPage;
    error.value = null;
    await load();
  }
  watch(key, () => void ask(true), { immediate: true });
  // Whoever looks further down keeps what is there.
  useRefresh(() => {
    if (isAtTop.value && !isLoading.value && sessions.value.length <= PAGE) void ask(true);
  }, () => REFRESH_MS);

  return {
    sessions, total, error, isLoading, isAtTop, hasMore: computed(() => cursor.value !== null),
    more: () => {
      if (!isLoading.value && cursor.value !== null && error.value === null) void ask(false);
    },
    retry: () => ask(sessions.value.length === 0),
  };
}
