/** Filters with names: kept in this browser, the same in all its tabs. */

import { onScopeDispose, readonly, shallowRef } from 'vue';

import { readSaved, writeSaved, type SavedFilter } from '@/lib/saved_filters';

const STORED_AS = 'panel.filters';

const all = shallowRef<readonly SavedFilter[]>(readSaved(localStorage.getItem(STORED_AS)));

export function useSavedFilters() {
  const follow = ({ key, newValue }: StorageEvent): void => {
    if (key === STORED_AS) all.value = readSaved(newValue);
  };
  addEventListener('storage', follow);
  onScopeDispose(() => { removeEventListener('storage', follow); });
  return {
    saved: readonly(all),
    /** Whether the browser keeps them: its storage may be full, or forbidden. */
    keep(filters: readonly SavedFilter[]): boolean {
      try {
        localStorage.setItem(STORED_AS, writeSaved(filters));
      } catch {
        return false;
      }
      all.value = filters;
      return true;
    },
  };
}
