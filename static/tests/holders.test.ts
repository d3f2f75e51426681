import { describe, expect, it } from 'vitest';

import type { ClientToken } from '@/api/types';
import { holderChoices, holdersFromQuery, holdersToQuery, withSeen } from '@/lib/holders';

const token = (part: Partial<ClientToken>): ClientToken => ({
  id: 'tok_1', user: 'alice', group: 'dev', name: 'default', hint: 'agw_A...b', state: 'active', models: [], upstreams: [], addresses: [], expires_at_ms: null, old_until_ms: null,
  used_on: null, created_at_ms: 0, ...part,
});

describe('whose requests a page is about', () => {
  it('is in its URL, as the API takes it', () => {
    const holders = holdersFromQuery({ user: 'alice, bob,,alice', token: 'tok_1', group: ['dev'], model: 'm' });
    expect(holders).toEqual({ user: ['alice', 'bob'], group: [], token: ['tok_1'] });
    expect(holdersToQuery(holders)).toEqual({ user: 'alice,bob', token: 'tok_1' });
    expect(holdersToQuery(holdersFromQuery({}))).toEqual({});
  });

  it('is at most what the API takes', () => {
    const many = Array.from({ length: 150 }, (_, number) => `user${number}`).join();
    expect(holdersFromQuery({ user: many }).user).toHaveLength(100);
  });

  it('can be chosen by name, tokens that ended last', () => {
    const choices = holderChoices([token({ id: 'tok_1', state: 'revoked' }), token({ id: 'tok_2', user: 'bob', group: null, name: 'ci' }), token({ id: 'tok_3', name: 'laptop' })]);
    expect(choices.user.map(({ value }) => value)).toEqual(['alice', 'bob']);
    expect(choices.group.map(({ value }) => value)).toEqual(['dev']);
    expect(choices.token.map(({ value, text }) => [value, text])).toEqual([['tok_2', 'bob/ci'], ['tok_3', 'alice/laptop'], ['tok_1', 'alice/default']]);
  });

  it('keeps what only rows know', () => {
    expect(withSeen([{ value: 'tok_1', text: 'alice/ci' }], [{ value: 'tok_1', text: 'tok_1' }, { value: 'tok_0', text: 'tok_0' }]).map(({ text }) => text)).toEqual(['alice/ci', 'tok_0']);
  });
});
