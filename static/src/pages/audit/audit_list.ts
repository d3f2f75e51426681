/** The audit, page after page: older changes on demand, or as long as a filter finds too few. */

import { computed, ref, shallowRef, watch, type Ref } from 'vue';

import { api } from '@/api/api';
import type { AuditedChange } from '@/api/types';
import { useRefresh, useResource } from '@/composables/resource';

const PAGE = 100;
/** The most that the API gives at once: a filter is looked for in many. */
const LARGE_PAGE = 1_000;
/** A filter goes back so far by itself; further after a click. */
const MOST_SEARCHED = 10_000;
const REFRESH_MS = 15_000;

/** `matches` is another function when other changes are looked for; `null` shows all. */
export function useAuditList(matches: Ref<((row: AuditedChange) => boolean) | null>) {
  const rows = shallowRef<readonly AuditedChange[]>([]);
  /** Where the next page begins; `null` behind the last one, and before the first. */
  const next = ref<number | null>(null);
  const isLoaded = ref(false);
  /** How many are shown, and how far is looked for them. */
  const wanted = ref(PAGE);
  const searched = ref(MOST_SEARCHED);
  const shown = computed(() => (matches.value === null ? rows.value : rows.value.filter(matches.value)));

  const first = useResource(async (signal) => {
    const page = await api.audit({ limit: PAGE }, signal);
    const newest = rows.value[0]?.id ?? 0;
    const isConnected = page.changes.some((row) => row.id <= newest) || rows.value.length === 0;
    // After a long sleep there is a gap: what is shown begins anew.
    const isNew = !isLoaded.value || !isConnected;
    rows.value = isNew ? page.changes : [...page.changes.filter((row) => row.id > newest), ...rows.value];
    if (isNew) next.value = page.next;
    isLoaded.value = true;
    return null;
  });
  const older = useResource(async (signal) => {
    while (next.value !== null && shown.value.length < wanted.value && rows.value.length < searched.value) {
      const page = await api.audit({ limit: matches.value === null ? PAGE : LARGE_PAGE, before: next.value }, signal);
      if (signal.aborted) return null;
      rows.value = [...rows.value, ...page.changes];
      next.value = page.next;
    }
    return null;
  });
  watch(matches, () => {
    wanted.value = PAGE;
    searched.value = MOST_SEARCHED;
  });
  // Where little fits, more is looked for.
  watch([matches, isLoaded], () => { if (isLoaded.value && matches.value !== null) void older.load(); });
  void first.load();
  useRefresh(() => { if (!older.isLoading.value) void first.load(); }, () => REFRESH_MS);

  return {
    rows, shown, isLoaded, error: computed(() => older.error.value ?? first.error.value), isLoading: older.isLoading,
    hasMore: computed(() => next.value !== null),
    more: () => {
      wanted.value = shown.value.length + PAGE;
      searched.value = rows.value.length + MOST_SEARCHED;
      return older.load();
    },
    retry: () => (isLoaded.value ? older.load() : first.load()),
  };
}
