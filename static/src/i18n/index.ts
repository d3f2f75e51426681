/** The panel's languages. Only the one in use is loaded. */

import { shallowRef, watch } from 'vue';
import { createI18n, useI18n } from 'vue-i18n';

import type en from './en';
import type more from './en/more';

export const LOCALES = ['zh-CN', 'en'] as const;
export type Locale = (typeof LOCALES)[number];
/** What each calls itself. */
export const LANGUAGES: Record<Locale, string> = { 'zh-CN': '中文', en: 'English' };
/** English is the pattern: a language that lacks a text, or has one too many, does not compile. */
export type Messages = typeof en;
export type MoreMessages = typeof more;

const STORED_AS = 'panel.locale';

const load: Record<Locale, () => Promise<{ default: Messages }>> = {
  en: () => import('./en'),
  'zh-CN': () => import('./zh'),
};

const loadMore: Record<Locale, () => Promise<{ default: MoreMessages }>> = {
  en: () => import('./en/more'),
  'zh-CN': () => import('./zh/more'),
};
let isMoreWanted = false;

/** Words by their codes: templates, which the gateway's tests write. */
export type Words = Readonly<Record<string, string>>;
const loadProblems: Record<Locale, () => Promise<{ default: Words }>> = {
  en: () => import('./problems/en.json'),
  'zh-CN': () => import('./problems/zh.json'),
};
const loadSteps: Record<Locale, () => Promise<{ default: Words }>> = {
  en: () => import('./steps/en.json'),
  'zh-CN': () => import('./steps/zh.json'),
};
const loadFaults: Record<Locale, () => Promise<{ default: Words }>> = {
  en: () => import('./faults/en.json'),
  'zh-CN': () => import('./faults/zh.json'),
};
/** For the problems of a configuration, for what was seen at the steps of a test of an upstream, and why a call of the API failed. */
export const problemWords = shallowRef<Words>({});
export const stepWords = shallowRef<Words>({});
export const faultWords = shallowRef<Words>({});

export const i18n = createI18n<[Messages & MoreMessages], Locale, false>({ legacy: false, locale: 'en', messages: {} as never });

/** What was chosen before, else the first language of the browser that the panel speaks. */
export function preferredLocale(storedLocale: string | null, wanted: readonly string[]): Locale {
  const known = LOCALES.find((locale) => locale === storedLocale);
  if (known) return known;
  for (const language of wanted) {
    if (language.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (language.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

export async function useLocale(locale: Locale): Promise<void> {
  const loads = [load[locale](), loadProblems[locale](), loadSteps[locale](), loadFaults[locale]()] as const;
  const [[messages, problems, steps, faults], others] = await Promise.all([Promise.all(loads), isMoreWanted ? loadMore[locale]() : null]);
  problemWords.value = problems.default;
  stepWords.value = steps.default;
  faultWords.value = faults.default;
  i18n.global.setLocaleMessage(locale, { ...messages.default, ...others?.default } as Messages & MoreMessages);
  i18n.global.locale.value = locale;
}

/** A page with the words that no first visit needs: they come beside it, and from then on with each language. */
export async function withMoreWords<Page>(page: Promise<Page>): Promise<Page> {
  const locale = i18n.global.locale.value;
  const [words] = await Promise.all([loadMore[locale](), page]);
  isMoreWanted = true;
  // Perhaps another language was chosen meanwhile.
  if (locale === i18n.global.locale.value) i18n.global.mergeLocaleMessage(locale, words.default);
  else await useLocale(i18n.global.locale.value);
  return page;
}

/** The texts, and which language they are in. */
export function useLanguage() {
  return useI18n<[Messages & MoreMessages], Locale>();
}

/** Changes the language and remembers it. */
export async function chooseLocale(locale: Locale): Promise<void> {
  await useLocale(locale);
  localStorage.setItem(STORED_AS, locale);
}

export async function startI18n(): Promise<void> {
  watch(i18n.global.locale, (locale) => (document.documentElement.lang = locale), { immediate: true });
  await useLocale(preferredLocale(localStorage.getItem(STORED_AS), navigator.languages));
}
