/** Whether the window is too narrow for two things beside each other. */

import { onScopeDispose, readonly, ref, type Ref } from 'vue';

export function useNarrow(px: number): Readonly<Ref<boolean>> {
  const query = matchMedia(`(max-width: ${px}px)`);
  const isNarrow = ref(query.matches);
  const follow = (): void => {
    isNarrow.value = query.matches;
  };
  query.addEventListener('change', follow);
  onScopeDispose(() => {
    query.removeEventListener('change', follow);
  });
  return readonly(isNarrow);
}
