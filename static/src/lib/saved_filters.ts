/** Filters of lists that a reader gave names to. What is read of the browser's storage may have been written by anybody, or by another version. Pure. */

import { filtersFromQuery, filtersToQuery, type Query } from './filters';
import { DEFAULT_SPAN, isAllTime, spanFromQuery, spanToQuery } from './time_range';

export const FILTERED_PAGES = ['requests', 'sessions'] as const;
export type FilteredPage = (typeof FILTERED_PAGES)[number];

export interface SavedFilter {
  page: FilteredPage;
  /** Two of one page have different names. */
  name: string;
  /** As the page's URL has it. */
  query: Readonly<Record<string, string>>;
}

export const MOST_SAVED = 50;
export const LONGEST_NAME = 60;
const LONGEST_VALUE = 2_000;
const VERSION = 1;
const OF_SESSIONS = ['sort', 'model', 'upstream', 'key', 'user', 'group', 'token', 'q'] as const;

/** What of a page's query is its filter: not what is open, and nothing that the page does not know. */
export function filterOf(page: FilteredPage, query: Query): Record<string, string> {
  if (page === 'requests') return filtersToQuery(filtersFromQuery(query));
  const texts = OF_SESSIONS.flatMap((name) => {
    const value = query[name];
    return typeof value === 'string' && value !== '' ? [[name, value] as const] : [];
  });
  const span = spanFromQuery(query);
  return { ...spanToQuery(isAllTime(span) ? DEFAULT_SPAN : span), ...Object.fromEntries(texts) };
}

export function isSameFilter(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

export function cleanName(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, LONGEST_NAME).trim();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function read(value: unknown): SavedFilter | null {
  if (!isObject(value) || typeof value['name'] !== 'string' || !isObject(value['query'])) return null;
  const page = FILTERED_PAGES.find((one) => one === value['page']);
  const name = cleanName(value['name']);
  if (page === undefined || name === '') return null;
  const texts = Object.entries(value['query']).filter(([, text]) => typeof text === 'string' && text.length <= LONGEST_VALUE);
  return { page, name, query: filterOf(page, Object.fromEntries(texts)) };
}

/** What the storage has; what makes no sense is left out. */
export function readSaved(text: string | null): SavedFilter[] {
  let stored: unknown;
  try {
    stored = JSON.parse(text ?? '');
  } catch {
    return [];
  }
  if (!isObject(stored) || stored['version'] !== VERSION || !Array.isArray(stored['filters'])) return [];
  const filters: SavedFilter[] = [];
  for (const value of stored['filters'] as unknown[]) {
    const one = read(value);
    if (one !== null && filters.length < MOST_SAVED && !find(filters, one.page, one.name)) filters.push(one);
  }
  return filters;
}

export function writeSaved(filters: readonly SavedFilter[]): string {
  return JSON.stringify({ version: VERSION, filters });
}

export function find(filters: readonly SavedFilter[], page: FilteredPage, name: string): SavedFilter | null {
  return filters.find((one) => one.page === page && one.name === name) ?? null;
}

/** With this one, which takes the place of one of the same name; `null` if there is no room. */
export function withSaved(filters: readonly SavedFilter[], added: SavedFilter): SavedFilter[] | null {
  if (find(filters, added.page, added.name)) return filters.map((one) => (one.page === added.page && one.name === added.name ? added : one));
  return filters.length < MOST_SAVED ? [...filters, added] : null;
}

export function withoutSaved(filters: readonly SavedFilter[], gone: SavedFilter): SavedFilter[] {
  return filters.filter((one) => one.page !== gone.page || one.name !== gone.name);
}

/** With another name; `null` if another one has it. */
export function withName(filters: readonly SavedFilter[], of: SavedFilter, name: string): SavedFilter[] | null {
  if (name !== of.name && find(filters, of.page, name)) return null;
  return filters.map((one) => (one.page === of.page && one.name === of.name ? { ...one, name } : one));
}
