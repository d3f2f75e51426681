/** Whose requests a page is about: those of client tokens, of users, of groups. In the page's URL, and as the API takes them. Pure. */

import type { ClientToken } from '@/api/types';

import type { Query } from './filters';
import { byUse } from './team';

export const HOLDER_FILTERS = ['user', 'group', 'token'] as const;
export type HolderFilter = (typeof HOLDER_FILTERS)[number];
export type Holders = Readonly<Record<HolderFilter, string[]>>;

/** One that can be chosen. */
export interface HolderChoice {
  value: string;
  text: string;
  title?: string;
}
export type HolderChoices = Readonly<Record<HolderFilter, readonly HolderChoice[]>>;

export const NO_CHOICES: HolderChoices = { user: [], group: [], token: [] };

/** As many values as the API takes. */
const MOST = 100;

export function holdersFromQuery(query: Query): Holders {
  const values = (name: HolderFilter): string[] => {
    const text = query[name];
    if (typeof text !== 'string') return [];
    return [...new Set(text.split(',').map((value) => value.trim()).filter(Boolean))].slice(0, MOST);
  };
  return { user: values('user'), group: values('group'), token: values('token') };
}

/** The same as a page's query, and as parameters of the API: without what is not set. */
export function holdersToQuery(holders: Holders): Record<string, string> {
  return Object.fromEntries(HOLDER_FILTERS.filter((name) => holders[name].length > 0).map((name) => [name, holders[name].join()]));
}

/** What can be chosen of, by the names that people know: tokens that have ended come last. */
export function holderChoices(tokens: readonly ClientToken[]): HolderChoices {
  const named = (names: readonly (string | null)[]): HolderChoice[] =>
    [...new Set(names)].filter((name) => name !== null).sort().map((name) => ({ value: name, text: name }));
  const ofToken = ({ id, user, name, hint }: ClientToken): HolderChoice => ({ value: id, text: `${user}/${name}`, title: `${id} ${hint}` });
  return { user: named(tokens.map(({ user }) => user)), group: named(tokens.map(({ group }) => group)), token: byUse(tokens).map(ofToken) };
}

/** Those, and behind them the values that rows have and nobody knows: of users who are gone, of groups of once. */
export function withSeen(known: readonly HolderChoice[], seen: readonly HolderChoice[]): readonly HolderChoice[] {
  const values = new Set(known.map(({ value }) => value));
  return [...known, ...seen.filter(({ value }) => !values.has(value))];
}
