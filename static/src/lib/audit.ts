/** Who changed what: rows of the audit, taken apart. Pure. */

import type { AuditedChange } from '@/api/types';

/** Who made a change, as the gateway writes it. */
export type Actor =
  | { kind: 'panel' | 'key' }
  | { kind: 'token'; user: string; token: string }
  | { kind: 'shell'; user: string }
  | { kind: 'other'; text: string };

export function actorOf(text: string): Actor {
  if (text === 'the panel') return { kind: 'panel' };
  if (text === "the panel's key") return { kind: 'key' };
  const shell = /^command line, user (.+)$/.exec(text);
  if (shell?.[1] !== undefined) return { kind: 'shell', user: shell[1] };
  const holder = /^(.+) \((tok_\w+)\)$/.exec(text);
  if (holder?.[1] !== undefined && holder[2] !== undefined) return { kind: 'token', user: holder[1], token: holder[2] };
  return { kind: 'other', text };
}

type Plain = Readonly<Record<string, unknown>>;

function plain(value: unknown): Plain | null {
  return typeof value === 'object' && value !== null ? (value as Plain) : null;
}

/** What a row shows of its subject, in this order. The rest says nothing that is not said elsewhere: ids, times of creation, counts. */
export const AUDITED_FIELDS = [
  'name', 'user', 'email', 'group', 'time_zone', 'role', 'state', 'models', 'upstreams', 'addresses', 'expires_at_ms', 'old_until_ms', 'hint',
  'version', 'changed', 'for', 'from_ms', 'to_ms',
] as const;
export type AuditedField = (typeof AUDITED_FIELDS)[number];

/** A field that is another one now; without a value, or with an empty list, it was or is not set. */
export interface FieldChange {
  field: AuditedField | 'limit';
  before: unknown;
  after: unknown;
}

function isUnset(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

/** The fields in which what was and what is differ. Of what is new, those that are set and are not in its name. */
export function fieldChanges({ before, after }: Pick<AuditedChange, 'before' | 'after'>): FieldChange[] {
  if (typeof before === 'string' || typeof after === 'string') return [{ field: 'limit', before, after }];
  const [old, fresh] = [plain(before), plain(after)];
  return AUDITED_FIELDS.flatMap((field) => {
    if (old === null && (field === 'name' || field === 'user')) return [];
    const [was, is] = [old?.[field] ?? null, fresh?.[field] ?? null];
    const isSame = JSON.stringify(was) === JSON.stringify(is) || (isUnset(was) && isUnset(is));
    return isSame ? [] : [{ field, before: isUnset(was) ? null : was, after: isUnset(is) ? null : is }];
  });
}

/** What was changed, by its name: a token with its user. `null` if the row does not say, as that of a limit. */
export function subjectName({ before, after }: Pick<AuditedChange, 'before' | 'after'>): string | null {
  const { user, name } = plain(after) ?? plain(before) ?? {};
  if (typeof name !== 'string') return null;
  return typeof user === 'string' ? `${user}/${name}` : name;
}

export interface AuditFilters {
  actor: readonly string[];
  action: readonly string[];
  q: string;
  from: number | null;
  to: number | null;
}

/** Whether a row is one of those that are looked for; `name` is what its subject is called. */
export function matchesAudit(row: AuditedChange, filters: AuditFilters, name: string): boolean {
  if (filters.from !== null && row.at_ms < filters.from) return false;
  if (filters.to !== null && row.at_ms >= filters.to) return false;
  if (filters.actor.length > 0 && !filters.actor.includes(row.actor)) return false;
  if (filters.action.length > 0 && !filters.action.includes(row.action)) return false;
  const wanted = filters.q.trim().toLowerCase();
  return wanted === '' || [name, row.target, row.actor, row.address].some((text) => text?.toLowerCase().includes(wanted));
}
