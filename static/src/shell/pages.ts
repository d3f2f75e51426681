/** The pages of the menu, and the way to each. */

import { useRouter, type RouteLocationRaw } from 'vue-router';

import { rangeQuery } from '@/composables/range';

export const PAGE_GROUPS = [
  { key: 'observe', pages: ['dashboard', 'requests', 'sessions', 'costs', 'waste', 'errors', 'upstreams'] },
  { key: 'control', pages: ['rules', 'config', 'notify', 'team', 'audit', 'connect'] },
] as const;
export type PageName = (typeof PAGE_GROUPS)[number]['pages'][number];

/** Pages that look at a time look at the same one. */
export function useToPage(): (name: PageName) => RouteLocationRaw {
  const router = useRouter();
  return (name) => ({ name, query: router.resolve({ name }).meta.range === undefined ? {} : rangeQuery.value });
}
