import { ref, watchEffect } from 'vue';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const STORED_AS = 'panel.theme';

function stored(): Theme {
  const text = localStorage.getItem(STORED_AS);
  return THEMES.find((theme) => theme === text) ?? 'system';
}

export const theme = ref<Theme>(stored());
/** Grows with every change of the colours in sight, so that what is painted on a canvas can follow. */
export const paintCount = ref(0);

watchEffect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
  localStorage.setItem(STORED_AS, theme.value);
  paintCount.value += 1;
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  paintCount.value += 1;
});
