import { describe, expect, it } from 'vitest';

import { byUse, endOf, entriesOf } from '@/lib/team';

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
});
