/** The item of a page that its URL names: it comes into sight and has the focus as soon as it is there. */

import { nextTick, shallowRef, watch } from 'vue';
import type { Router, RouteLocationRaw } from 'vue-router';

const asked = shallowRef(0);

/** Leads to an item, also if the URL names it already and its viewer has moved on from it. */
export async function goToItem(router: Router, to: RouteLocationRaw): Promise<void> {
  await router.push(to);
  asked.value += 1;
}

/** `selector` finds the item, which takes the focus; `null` while there is none to be found. */
export function useChosen(selector: () => string | null): void {
  watch([selector, asked], async ([wanted]) => {
    if (wanted === null) return;
    await nextTick();
    const item = document.querySelector<HTMLElement>(wanted);
    item?.scrollIntoView({ block: 'center' });
    item?.focus({ preventScroll: true });
  }, { immediate: true, flush: 'post' });
}
