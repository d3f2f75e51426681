/** How large numbers are shortened: as the language does (万, 亿), or with K and M. */

import { ref, watch } from 'vue';

export const UNITS = ['language', 'km'] as const;
export type Units = (typeof UNITS)[number];

const STORED_AS = 'panel.units';

export const units = ref<Units>(UNITS.find((one) => one === localStorage.getItem(STORED_AS)) ?? 'language');

watch(units, (chosen) => {
  localStorage.setItem(STORED_AS, chosen);
});
