import { describe, expect, it } from 'vitest';

import { byUse, endOf, entriesOf, tokenChange } from '@/lib/team';

describe('the forms of the team', () => {
  it('take lists on lines or with commas, each entry once', () => {
    expect(entriesOf(' claude-*\n\nclaude-opus-5 , claude-*')).toEqual(['claude-*', 'claude-opus-5']);
    expect(entriesOf('a，b、c')).toEqual(['a', 'b', 'c']);
    expect(entriesOf('  \n ')).toEqual([]);
  });

  it('say when a token ends', () => {
    expect(endOf('', 1_000)).toBeNull();
    expect(endOf('30', 1_000)).toBe(1_000 + 30 * 86_400_000);
  });

  it('have tokens that are over at the end', () => {
    const states = byUse([{ state: 'revoked' }, { state: 'active' }, { state: 'expired' }, { state: 'suspended' }]).map((token) => token.state);
    expect(states).toEqual(['active', 'suspended', 'revoked', 'expired']);
  });

  it('change of a token what is another one, and nothing else', () => {
    const token = {
      id: 'tok_1', user: 'alice', group: null, name: 'laptop', hint: '', state: 'active' as const, models: ['claude-*'], upstreams: [], addresses: [], expires_at_ms: 5_000, old_until_ms: null,
      used_on: null, created_at_ms: 0,
    };
    const typed = { name: ' laptop ', models: 'claude-*', upstreams: '', addresses: '\n', expires_at_ms: 5_000 };
    expect(tokenChange(token, typed)).toEqual({});
    expect(tokenChange(token, { ...typed, models: '', addresses: '10.0.0.0/8', expires_at_ms: null })).toEqual({ models: [], addresses: ['10.0.0.0/8'], expires_at_ms: null });
  });
});
