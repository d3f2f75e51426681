import { describe, expect, it } from 'vitest';

import type { AuditedChange } from '@/api/types';
import { actorOf, fieldChanges, matchesAudit, subjectName } from '@/lib/audit';

const token = {
  id: 'tok_1', user: 'alice', group: null, name: 'laptop', hint: 'agw_Ab1C...f30A', state: 'active' as const, models: [], upstreams: [], addresses: [], expires_at_ms: null,
  old_until_ms: null, used_on: null, created_at_ms: 5,
};
const row = (part: Partial<AuditedChange>): AuditedChange =>
  ({ id: 1, at_ms: 1_000, actor: 'the panel', address: '10.0.0.7', action: 'token.create', target: 'tok_1', before: null, after: token, ...part });

describe('the audit', () => {
  it('tells who made a change', () => {
    expect(actorOf('the panel')).toEqual({ kind: 'panel' });
    expect(actorOf("the panel's key")).toEqual({ kind: 'key' });
    expect(actorOf('command line, user root')).toEqual({ kind: 'shell', user: 'root' });
    expect(actorOf('王 (a) (tok_9f)')).toEqual({ kind: 'token', user: '王 (a)', token: 'tok_9f' });
    expect(actorOf('a reload')).toEqual({ kind: 'other', text: 'a reload' });
  });

  it('shows the fields of what is new that its name does not say, and of what changed those that differ', () => {
    expect(fieldChanges(row({})).map(({ field, after }) => [field, after])).toEqual([
      ['state', 'active'], ['hint', 'agw_Ab1C...f30A'],
    ]);
    const after = { ...token, models: ['claude-haiku-*'], used_on: '2026-11-28' };
    expect(fieldChanges(row({ before: token, after }))).toEqual([{ field: 'models', before: null, after: ['claude-haiku-*'] }]);
    expect(fieldChanges(row({ before: { ...token, expires_at_ms: 9 }, after: token }))).toEqual([{ field: 'expires_at_ms', before: 9, after: null }]);
  });

  it('shows a limit as one field', () => {
    expect(fieldChanges(row({ before: 'usd:day:5', after: null }))).toEqual([{ field: 'limit', before: 'usd:day:5', after: null }]);
  });

  it('names what was changed, where the row says it', () => {
    expect(subjectName(row({}))).toBe('alice/laptop');
    expect(subjectName(row({ before: { id: 'grp_1', name: 'dev', time_zone: 'UTC', created_at_ms: 1 }, after: null }))).toBe('dev');
    expect(subjectName(row({ before: null, after: 'usd:day:5' }))).toBeNull();
  });

  it('is filtered by who, what, when, and a part of a name', () => {
    const none = { actor: [], action: [], q: '', from: null, to: null };
    const matches = (filters: Partial<Parameters<typeof matchesAudit>[1]>): boolean => matchesAudit(row({}), { ...none, ...filters }, 'alice/laptop');
    expect(matches({})).toBe(true);
    expect([matches({ q: 'LAP' }), matches({ q: '10.0.0' }), matches({ q: 'tok_1' }), matches({ q: 'ci' })]).toEqual([true, true, true, false]);
    expect([matches({ actor: ['the panel'] }), matches({ actor: ["the panel's key"] })]).toEqual([true, false]);
    expect([matches({ action: ['token.create', 'x'] }), matches({ action: ['token.revoke'] })]).toEqual([true, false]);
    expect([matches({ from: 1_000, to: 1_001 }), matches({ from: 1_001 }), matches({ to: 1_000 })]).toEqual([true, false, false]);
  });
});
