import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import { isKeyLost, keysOf, newKey, setKeys, type KeyEntry } from '@/lib/upstream_keys';

const MASK = '********';
const FILE = `gateway:
  upstreams:
    - name: pool
      base_url: https://pool.example
      api_keys:
        - { key: "${MASK}", name: a, weight: 2 }
        - { key: "\${env.B}", name: b, enabled: false }   # on holiday
        - { key: "${MASK}" }
        - { key: "${MASK}" }
    - name: one
      base_url: https://one.example
      api_key: "${MASK}"
    - name: none
      base_url: https://none.example
`;
const pool = (): KeyEntry[] => keysOf('', FILE, 'pool');
const without = <T>(list: T[], at: number): T[] => list.filter((_, place) => place !== at);
const upstreamsOf = (overlay: string): Record<string, unknown>[] => (parse(overlay) as { gateway: { upstreams: Record<string, unknown>[] } }).gateway.upstreams;

describe('keysOf', () => {
  it('reads a pool, a single key, and none', () => {
    expect(pool().map(({ from, key, name, weight, enabled }) => [from, key, name, weight, enabled])).toEqual([
      [0, MASK, 'a', '2', true], [1, '${env.B}', 'b', '', false], [2, MASK, '', '', true], [3, MASK, '', '', true],
    ]);
    expect(keysOf('', FILE, 'one')).toEqual([{ ...newKey(), from: 'only', key: MASK }]);
    expect(keysOf('', FILE, 'none')).toEqual([]);
  });
});

describe('isKeyLost', () => {
  const lost = (keys: KeyEntry[], before: KeyEntry[]): boolean[] => keys.map((key, at) => isKeyLost(key, at, before));

  it('is where a mask would stand for no key, or for a neighbour’s', () => {
    expect(lost(pool(), pool())).toEqual([false, false, false, false]);
    expect(lost(without(pool(), 0), pool()), 'those without a name go by their places').toEqual([false, true, true]);
    expect(lost(without(pool(), 3), pool())).toEqual([false, false, false]);
    const renamed = pool().map((key) => ({ ...key, name: key.name === '' ? '' : `${key.name}2` }));
    expect(lost(renamed, pool()), 'a variable has any name').toEqual([true, false, false, false]);
    expect(lost(renamed.map((key) => ({ ...key, key: 'sk-new' })), pool())).toEqual([false, false, false, false]);
    expect(lost(keysOf('', FILE, 'one'), keysOf('', FILE, 'one')), 'a list is another place').toEqual([true]);
  });
});

describe('setKeys', () => {
  it('changes what was changed, and keeps comments and neighbours', () => {
    const keys = pool().map((key) => (key.name === 'a' ? { ...key, weight: '', max_in_flight: '5' } : key.name === 'b' ? { ...key, enabled: true } : key));
    const overlay = setKeys('', FILE, 'pool', [...keys, { ...newKey(), key: ' sk-new ', name: 'c' }]);
    expect(overlay).toContain('# on holiday');
    expect(upstreamsOf(overlay)[0]?.['api_keys']).toEqual([
      { key: MASK, name: 'a', max_in_flight: 5 }, { key: '${env.B}', name: 'b' }, { key: MASK }, { key: MASK }, { key: 'sk-new', name: 'c' },
    ]);
    expect(upstreamsOf(overlay).map(({ name }) => name)).toEqual(['pool', 'one', 'none']);
  });

  it('makes a pool of a single key, of none, and none of a pool', () => {
    const [only] = keysOf('', FILE, 'one') as [KeyEntry];
    const one = upstreamsOf(setKeys('', FILE, 'one', [{ ...only, key: 'sk-1' }, { ...newKey(), key: 'sk-2' }]))[1];
    expect(one).toEqual({ name: 'one', base_url: 'https://one.example', api_keys: [{ key: 'sk-1' }, { key: 'sk-2' }] });
    expect(upstreamsOf(setKeys('', FILE, 'none', [{ ...newKey(), key: 'sk-1' }]))[2]?.['api_keys']).toEqual([{ key: 'sk-1' }]);
    expect(upstreamsOf(setKeys('', FILE, 'pool', []))[0]).toEqual({ name: 'pool', base_url: 'https://pool.example' });
  });

  it('never writes a mask that would stand for another key', () => {
    expect(() => setKeys('', FILE, 'pool', without(pool(), 0))).toThrow('keyAgain');
    expect(() => setKeys('', FILE, 'gone', [])).toThrow('notInList');
  });
});
