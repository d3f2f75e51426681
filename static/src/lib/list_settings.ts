/** The settings that are lists: told by their number of entries, edited elsewhere. */

import type { Setting } from '@/api/types';

export const LISTS = ['upstreams', 'rules', 'routes', 'prices'] as const;
export type ListName = (typeof LISTS)[number];
/** Those that an edit of an entry copies into the overlay as a whole. */
export type CopiedList = ListName | 'failover.errors';

/** Whether the setting is a list, told by the number of its entries: no text for one line. */
export function isList({ value, choices }: Pick<Setting, 'value' | 'choices'>): boolean {
  return choices.length === 0 && /^\d+ entr(y|ies)$/.test(value);
}

export function listOfKey(key: string): ListName | null {
  return LISTS.find((list) => key === `gateway.${list}`) ?? null;
}

/** Whether the setting is a part of a list's entry, such as `gateway.upstreams[0].base_url`. */
export function isOfEntry(key: string): boolean {
  return /\[\d+\]/.test(key);
}

/** The number in the gateway's "3 entries". */
export function entryCount(value: string): number {
  return Number.parseInt(value, 10) || 0;
}

/** What fixes a list, such as a variable of the environment; `null` if the panel may change it. */
export function lockOf(settings: readonly Setting[], list: ListName): string | null {
  const setting = settings.find(({ key }) => key === `gateway.${list}`);
  return setting?.is_locked === true ? setting.place : null;
}
