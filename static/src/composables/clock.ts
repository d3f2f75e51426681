/** The present, for texts such as "3 s ago": one timer for all of them. */

import { readonly, ref } from 'vue';

const now = ref(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

export const nowMs = readonly(now);
