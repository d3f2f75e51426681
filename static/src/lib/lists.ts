/** The configuration's lists: whose counts, and what an edit does to their entries. */

import { parse } from 'yaml';

import type { ConfigProblem, Setting } from '@/api/types';

import { LISTS, lockOf, type CopiedList, type ListName } from './list_settings';
import { DEFAULT_UPSTREAMS } from './overlay';

export interface ListChange {
  list: ListName;
  added: string[];
  removed: string[];
  changed: string[];
}

type Plain = Record<string, unknown>;

function listOf(text: string, list: CopiedList): unknown[] | null {
  try {
    const found = `gateway.${list}`.split('.').reduce<unknown>((at, key) => (at as Plain | null | undefined)?.[key], parse(text));
    return Array.isArray(found) ? found : null;
  } catch {
    // A text that is being edited is often no YAML for a moment; the check says so.
    return null;
  }
}

function words(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : '';
}

/** What an entry is called; keys of clients are not for showing. */
function nameOf(entry: unknown, list: ListName): string {
  if (typeof entry !== 'object' || entry === null) return words(entry);
  const { name, base_url: url, upstream, upstreams, models } = entry as Plain;
  if (list === 'routes') return `→ ${words(upstreams ?? upstream)}`;
  if (list === 'prices') return words(models);
  return words(name) || (typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname : '');
}

function byName(entries: readonly unknown[], list: ListName): Map<string, string> {
  const found = new Map<string, string>();
  for (const [index, entry] of entries.entries()) {
    const name = nameOf(entry, list) || `[${index}]`;
    let unique = name;
    for (let count = 2; found.has(unique); count += 1) unique = `${name} (${count})`;
    found.set(unique, JSON.stringify(entry));
  }
  return found;
}

/** The names of a list's entries that count: the overlay's, else the file's, else the built-in ones. */
export function namesIn(overlay: string, file: string, list: ListName): string[] {
  return [...byName(entriesOf(overlay, file, list), list).keys()];
}

function entriesOf(overlay: string, file: string, list: ListName): readonly unknown[] {
  return listOf(overlay, list) ?? listOf(file, list) ?? (list === 'upstreams' ? DEFAULT_UPSTREAMS : []);
}

/** What another overlay makes of the lists that count. */
export function listChanges(before: string, after: string, file: string): ListChange[] {
  return LISTS.map((list) => {
    const [old, fresh] = [before, after].map((overlay) => byName(entriesOf(overlay, file, list), list)) as [Map<string, string>, Map<string, string>];
    return {
      list,
      added: [...fresh.keys()].filter((name) => !old.has(name)),
      removed: [...old.keys()].filter((name) => !fresh.has(name)),
      changed: [...fresh.keys()].filter((name) => old.has(name) && old.get(name) !== fresh.get(name)),
    };
  }).filter(({ added, removed, changed }) => added.length + removed.length + changed.length > 0);
}

/** The lists of the file that do not count, because the overlay has its own. */
export function hiddenLists(overlay: string, file: string): ListName[] {
  return LISTS.filter((list) => listOf(overlay, list) !== null && (listOf(file, list)?.length ?? 0) > 0);
}

/** Whether an edit of an entry copies the file's list into the overlay, where it was not before. */
export function isCopied(overlay: string, file: string, list: CopiedList): boolean {
  return listOf(overlay, list) === null && (listOf(file, list)?.length ?? 0) > 0;
}

/** The lists of this overlay that have no effect. */
export function lockedLists(overlay: string, settings: readonly Setting[]): { list: ListName; place: string }[] {
  return LISTS.flatMap((list) => {
    const place = listOf(overlay, list) === null ? null : lockOf(settings, list);
    return place === null ? [] : [{ list, place }];
  });
}

/** The gateway's warnings without those of lists that are told of as locked or as hidden already. */
export function untoldWarnings(warnings: readonly ConfigProblem[], locked: readonly ListName[], hidden: readonly ListName[]): ConfigProblem[] {
  return warnings.filter(({ key, code }) => {
    const list = LISTS.find((name) => key === `gateway.${name}`);
    if (!list) return true;
    if (code === 'list_hidden') return !locked.includes(list) && !hidden.includes(list);
    return !(code === 'list_replaced' && locked.includes(list));
  });
}
