/** What the palette knows: pages, commands, and what the configuration has. */

import { computed, type ComputedRef } from 'vue';
import { useRouter, type RouteLocationRaw } from 'vue-router';

import { api } from '@/api/api';
import { holdLive, isLiveHeld } from '@/api/live';
import { goToItem } from '@/composables/chosen';
import { useCopyLink } from '@/composables/copy_link';
import { useLeave } from '@/composables/leave';
import { useResource } from '@/composables/resource';
import { useSavedFilters } from '@/composables/saved_filters';
import { isMember, isSignedIn, mayRead } from '@/composables/session';
import { theme, THEMES } from '@/composables/theme';
import { units, UNITS } from '@/composables/units';
import { chooseLocale, LANGUAGES, LOCALES, useLanguage } from '@/i18n';
import type { IconName } from '@/lib/icons';
import type { Entry } from '@/lib/palette';
import { groupOf } from '@/lib/setting_groups';

import { pageGroups, useToPage, type PageName } from '../pages';

export interface PaletteEntry extends Entry {
  icon: IconName;
  run: () => unknown;
}

const THEME_ICONS = { system: 'system', light: 'sun', dark: 'moon' } as const;

export function usePages(): ComputedRef<PaletteEntry[]> {
  const { t } = useLanguage();
  const router = useRouter();
  const toPage = useToPage();
  const of = (what: string, value: string): string => t('palette.of', { what, value });
  return computed(() => {
    const page = (id: string, title: string, icon: IconName, to: RouteLocationRaw): PaletteEntry =>
      ({ id: `page ${id}`, kind: 'page', title, note: '', words: id, icon, run: () => router.push(to) });
    const pages = pageGroups.value.flatMap((group) => group.pages.map((name: PageName) => page(name, t(`nav.${name}`), name, toPage(name))));
    if (isMember.value) return pages;
    const views = (['yaml', 'headers', 'history'] as const).map((view) =>
      page(`config ${view}`, of(t('nav.config'), t(`config.view.${view}`)), 'config', { name: 'config', query: { view } }));
    return [...pages, ...views, page('rules try', of(t('nav.rules'), t('rules.view.try')), 'rules', { name: 'rules', query: { view: 'try' } })];
  });
}

/** Filters that got a name, of all pages. */
export function useSaved(): ComputedRef<PaletteEntry[]> {
  const { t } = useLanguage();
  const router = useRouter();
  const { saved } = useSavedFilters();
  return computed(() => (isMember.value ? [] : saved.value).map(({ page, name, query }): PaletteEntry =>
    ({ id: `saved ${page} ${name}`, kind: 'saved', title: name, note: t(`nav.${page}`), words: '', icon: 'star', run: () => router.push({ name: page, query: { ...query } }) })));
}

export function useCommands(openKeys: () => void): ComputedRef<PaletteEntry[]> {
  const { t, locale } = useLanguage();
  const leave = useLeave();
  const copyLink = useCopyLink();
  return computed(() => {
    const command = (id: string, title: string, icon: IconName, run: () => unknown, isNow = false): PaletteEntry =>
      ({ id: `action ${id}`, kind: 'action', title, note: isNow ? t('palette.isNow') : '', words: id, icon, run });
    const choice = (what: string, value: string): string => t('palette.of', { what, value });
    return [
      ...(isMember.value ? [] : [isLiveHeld.value ? command('live resume', t('live.resume'), 'play', () => { holdLive(false); }) : command('live pause', t('live.pause'), 'pause', () => { holdLive(true); })]),
      command('copy link', t('copyLink.copy'), 'connect', copyLink),
      command('keyboard shortcuts', t('keys.title'), 'info', openKeys),
      ...LOCALES.map((one) => command(`language ${one}`, choice(t('nav.language'), LANGUAGES[one]), 'globe', () => chooseLocale(one), one === locale.value)),
      ...THEMES.map((one) => command(`theme ${one}`, choice(t('theme.label'), t(`theme.${one}`)), THEME_ICONS[one], () => (theme.value = one), one === theme.value)),
      ...(locale.value === 'en' ? [] : UNITS.map((one) => command(`units ${one}`, choice(t('units.label'), t(`units.${one}`)), 'dashboard', () => (units.value = one), one === units.value))),
      ...(isSignedIn.value ? [command('sign out', t('nav.signOut'), 'signout', leave)] : []),
    ];
  });
}

/** Upstreams, rules and settings; what cannot be loaded is missing. */
export function useConfigured() {
  const { t, te, locale } = useLanguage();
  const router = useRouter();
  const loaded = useResource(async (signal) => {
    const answers = await Promise.allSettled([api.upstreams(signal), api.rules(signal), api.config(signal)]);
    const [upstreams, rules, config] = answers;
    const valueOf = <T>(answer: PromiseSettledResult<T>): T | null => (answer.status === 'fulfilled' ? answer.value : null);
    const failure = answers.find((answer) => answer.status === 'rejected')?.reason as unknown;
    return { upstreams: valueOf(upstreams)?.upstreams ?? [], rules: valueOf(rules)?.upstreams ?? [], settings: valueOf(config)?.settings ?? [], failure };
  });
  if (mayRead.value) void loaded.load();

  const item = (to: RouteLocationRaw) => () => goToItem(router, to);
  const upstreams = computed(() => (loaded.data.value?.upstreams ?? []).map(({ name, url }): PaletteEntry =>
    ({ id: `upstream ${name}`, kind: 'upstream', title: name, note: url, words: '', icon: 'upstreams', run: item({ name: 'upstreams', query: { upstream: name } }) })));
  const rules = computed(() => {
    const places = new Map<string, string[]>();
    for (const { upstream, rules: own } of loaded.data.value?.rules ?? []) {
      for (const { name } of own) places.set(name, [...(places.get(name) ?? []), upstream]);
    }
    return [...places].map(([name, at]): PaletteEntry => {
      const key = `profileRule.${name.replace(/^anyrouter\./, '')}`;
      return {
        id: `rule ${name}`, kind: 'rule', title: name, note: t('rules.for', { upstream: at.join(t('common.comma')) }), words: te(key) ? t(key) : '', icon: 'rules',
        run: item({ name: 'rules', query: { upstream: at[0], rule: name } }),
      };
    });
  });
  const settings = computed(() => (loaded.data.value?.settings ?? []).map(({ key, help, help_zh: chinese }): PaletteEntry => {
    const isChinese = locale.value === 'zh-CN';
    return {
      id: `setting ${key}`, kind: 'setting', title: key.replace(/^gateway\./, ''), note: isChinese ? chinese : help, words: isChinese ? help : chinese, icon: 'config',
      run: item({ name: 'config', query: { section: groupOf(key), setting: key } }),
    };
  }));
  return {
    entries: computed(() => [...upstreams.value, ...rules.value, ...settings.value]),
    /** Why something is missing. */
    failure: computed(() => loaded.data.value?.failure),
  };
}
