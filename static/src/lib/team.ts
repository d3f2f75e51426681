/** What the forms of the team make of what is typed. */

import type { ClientToken, TokenChange } from '@/api/types';

const DAY_MS = 24 * 3_600_000;

/** How long a new token is good, in days; empty for without end. */
export const EXPIRIES = ['', '1', '7', '30', '90', '365'] as const;
/** How long the old text of a token is good after the next one, in hours. */
export const OVERLAPS = ['0', '1', '24', '168'] as const;

/** The entries of a list that is typed with one on each line, or with commas. */
export function entriesOf(text: string): string[] {
  return [...new Set(text.split(/[\n,，、]/).map((entry) => entry.trim()).filter(Boolean))];
}

/** When a token ends that is good for so many days; `null` for never. */
export function endOf(days: string, nowMs: number): number | null {
  return days === '' ? null : nowMs + Number(days) * DAY_MS;
}

/** Tokens that still do something come first. */
export function byUse<T extends { state: string }>(tokens: readonly T[]): T[] {
  const isOver = (token: T): number => Number(token.state === 'revoked' || token.state === 'expired');
  return [...tokens].sort((one, other) => isOver(one) - isOver(other));
}

/** What a form of a token holds: lists as they are typed. */
export interface TypedToken {
  name: string;
  models: string;
  upstreams: string;
  addresses: string;
  expires_at_ms: number | null;
}

/** What of a token is to be another one; empty if nothing is. */
export function tokenChange(token: ClientToken, typed: TypedToken): TokenChange {
  const wanted = {
    name: typed.name.trim(), models: entriesOf(typed.models), upstreams: entriesOf(typed.upstreams), addresses: entriesOf(typed.addresses), expires_at_ms: typed.expires_at_ms,
  };
  const differs = (key: keyof typeof wanted): boolean => JSON.stringify(wanted[key]) !== JSON.stringify(token[key]);
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => differs(key as keyof typeof wanted)));
}
