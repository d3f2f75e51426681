/** What the palette finds for what is typed. Pure. */

import fuzzysort from 'fuzzysort';

export const KINDS = ['saved', 'page', 'upstream', 'rule', 'setting', 'action', 'session', 'request'] as const;
export type Kind = (typeof KINDS)[number];

/** Something that can be gone to, or done. */
export interface Entry {
  /** No two have the same. */
  id: string;
  kind: Kind;
  title: string;
  /** Said beside it. */
  note: string;
  /** What else it is found by, in whatever language. */
  words: string;
}
export interface Found<E extends Entry> {
  kind: Kind;
  entries: readonly E[];
}

/** Entries of one kind that are shown beside others, and alone. */
const MOST_OF_KIND = 6;
const MOST_ALONE = 20;
/** Longer texts are nobody's search. */
const LONGEST_QUERY = 100;
/** What is not found by its title counts less: it stands behind those that are. */
const BY_WORDS = 0.85;
const LEAST_SCORE = 0.4;

/** Without a query, what anybody may want: pages, actions, saved filters. */
const UNASKED: readonly Kind[] = ['saved', 'page', 'action'];

/** The entries that fit, by kind: kinds and entries with what fits best come first. */
export function findEntries<E extends Entry>(query: string, entries: readonly E[]): Found<E>[] {
  const wanted = query.trim().slice(0, LONGEST_QUERY);
  if (wanted === '') return UNASKED.flatMap((kind) => group(kind, entries.filter((entry) => entry.kind === kind), Infinity));
  const found = fuzzysort.go(wanted, entries, {
    keys: ['title', 'words', 'note'], limit: 0, threshold: LEAST_SCORE,
    scoreFn: (result) => ((result[0]?.score ?? 0) > 0 ? result.score : result.score * BY_WORDS),
  });
  const inOrder = found.map(({ obj }) => obj);
  const kinds = [...new Set(inOrder.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => group(kind, inOrder.filter((entry) => entry.kind === kind), kinds.length === 1 ? MOST_ALONE : MOST_OF_KIND));
}

function group<E extends Entry>(kind: Kind, entries: readonly E[], most: number): Found<E>[] {
  return entries.length === 0 ? [] : [{ kind, entries: entries.slice(0, most) }];
}

/** Forgets what was searched for and where: it may be somebody's. */
export function forgetSearches(): void {
  fuzzysort.cleanup();
}

const LEAST_OF_ID = 4;
const LONGEST_ID = 200;

/** The part of an id that this may be; `null` if it is a word: the gateway is asked for ids only. */
export function partOfId(query: string): string | null {
  const text = query.trim();
  const isOne = text.length >= LEAST_OF_ID && text.length <= LONGEST_ID && /^[\w.:-]+$/.test(text) && /\d/.test(text);
  return isOne ? text : null;
}

/** The same of a request's: `req_`, which may be left out, and hexadecimal digits. */
export function partOfRequestId(text: string): string | null {
  return /^(req_)?[0-9a-f]{4,32}$/i.test(text) || /^req_[0-9a-f]*$/i.test(text) ? text.toLowerCase() : null;
}

export function isWholeRequestId(part: string): boolean {
  return /^req_[0-9a-f]{32}$/.test(part);
}

/** Where the choice is after a key: it goes round. */
export function moved(at: number, by: number, count: number): number {
  return count === 0 ? 0 : (((at + by) % count) + count) % count;
}
