/** The pages of the menu, and the way to each. */

import { computed } from 'vue';
import { useRouter, type RouteLocationRaw } from 'vue-router';

import { rangeQuery } from '@/composables/range';
import { hasToken, isMember } from '@/composables/session';

export const PAGE_GROUPS = [
  { key: 'observe', pages: ['dashboard', 'requests', 'sessions', 'costs', 'waste', 'errors', 'upstreams'] },
  { key: 'control', pages: ['rules', 'config', 'notify', 'team', 'audit', 'connect'] },
] as const;
/** What whoever logs in with a client token sees of the own; a member sees nothing else. */
export const OWN_GROUP = { key: 'own', pages: ['mine'] } as const;
export type PageName = (typeof PAGE_GROUPS)[number]['pages'][number] | (typeof OWN_GROUP)['pages'][number];

/** The menu of who looks at it. */
export const pageGroups = computed(() => [...(hasToken.value ? [OWN_GROUP] : []), ...(isMember.value ? [] : PAGE_GROUPS)]);

/** Pages that look at a time look at the same one. */
export function useToPage(): (name: PageName) => RouteLocationRaw {
  const router = useRouter();
  return (name) => ({ name, query: router.resolve({ name }).meta.range === undefined ? {} : rangeQuery.value });
}
