/** The curves of a chart that are switched off, kept in the browser. */

import { readonly, ref, type DeepReadonly, type Ref } from 'vue';

const stored = (chart: string): string => `panel.chart.${chart}`;

export function useHiddenSeries(chart: string): { hidden: DeepReadonly<Ref<string[]>>; toggle: (key: string) => void } {
  const hidden = ref((localStorage.getItem(stored(chart)) ?? '').split(',').filter((key) => key !== ''));
  return {
    hidden: readonly(hidden),
    toggle: (key) => {
      hidden.value = hidden.value.includes(key) ? hidden.value.filter((one) => one !== key) : [...hidden.value, key];
      if (hidden.value.length === 0) localStorage.removeItem(stored(chart));
      else localStorage.setItem(stored(chart), hidden.value.join());
    },
  };
}
