import { describe, expect, it } from 'vitest';

import type { ConfigProblem, Setting } from '@/api/types';
import { entryCount, isOfEntry, listOfKey } from '@/lib/list_settings';
import { hiddenLists, isCopied, listChanges, lockedLists, namesIn, untoldWarnings } from '@/lib/lists';

const FILE = `gateway:
  upstreams:
    - name: a
      base_url: https://a.example
    - base_url: https://b.example/prefix
  rules: []
`;
const OWN = FILE.replace('prefix', 'other').replace('name: a', 'name: c');

const locked: Setting = {
  key: 'gateway.upstreams', value: '1 entry', default: '', help: '', help_zh: '', choices: [], source: 'environment', place: 'API_BASE_URL', is_locked: true, needs_restart: false, is_secret: false,
};

describe('lists', () => {
  it('have entries with names', () => {
    expect(namesIn('', FILE, 'upstreams')).toEqual(['a', 'b.example']);
    expect(namesIn(OWN, FILE, 'upstreams')).toEqual(['c', 'b.example']);
    expect(namesIn('', '', 'upstreams')).toEqual(['anyrouter']);
    expect(namesIn('gateway: {routes: [{keys: [sk-1], upstream: a}, {keys: [sk-2], upstreams: [a, b]}, {keys: [sk-3], upstream: a}]}', '', 'routes')).toEqual(['→ a', '→ a, b', '→ a (2)']);
    expect(namesIn('gateway: {prices: [{models: ["a*", b]}, 3]}', '', 'prices')).toEqual(['a*, b', '[1]']);
  });

  it('tell by name what an edit does to them', () => {
    expect(listChanges('', OWN, FILE)).toEqual([{ list: 'upstreams', added: ['c'], removed: ['a'], changed: ['b.example'] }]);
    expect(listChanges('', FILE, FILE)).toEqual([]);
    expect(listChanges('gateway: {rules: [{name: x}]}', '', FILE)).toEqual([{ list: 'rules', added: [], removed: ['x'], changed: [] }]);
  });

  it('are settings of their own kind', () => {
    expect(listOfKey('gateway.upstreams')).toBe('upstreams');
    expect(listOfKey('gateway.upstreams[0].base_url')).toBeNull();
    expect(isOfEntry('gateway.upstreams[0].base_url')).toBe(true);
    expect([entryCount('1 entry'), entryCount('0 entries'), entryCount('')]).toEqual([1, 0, 0]);
  });

  it('of the overlay hide those of the file', () => {
    expect(hiddenLists(OWN, FILE)).toEqual(['upstreams']);
    expect(hiddenLists('', FILE)).toEqual([]);
    expect(hiddenLists('gateway: [', FILE)).toEqual([]);
    expect(isCopied('', FILE, 'upstreams')).toBe(true);
    expect(isCopied('', FILE, 'rules')).toBe(false);
    expect(isCopied(OWN, FILE, 'upstreams')).toBe(false);
  });

  it('have no effect when something else fixes them', () => {
    expect(lockedLists(OWN, [locked])).toEqual([{ list: 'upstreams', place: 'API_BASE_URL' }]);
    expect(lockedLists('', [locked])).toEqual([]);
    expect(lockedLists(OWN, [{ ...locked, is_locked: false }])).toEqual([]);
  });
});

describe('untoldWarnings', () => {
  it('leaves out only what is told of the same list', () => {
    const [hides, replaces, other] = [
      ['gateway.rules', 'list_hidden'], ['gateway.upstreams', 'list_replaced'], [null, 'variable_misspelt'],
    ].map(([key, code]) => ({ where: 'file', line: 1, column: 1, key, message: '', code, parameters: {} })) as [ConfigProblem, ConfigProblem, ConfigProblem];
    const all = [hides, replaces, other];
    expect(untoldWarnings(all, [], [])).toEqual(all);
    expect(untoldWarnings(all, [], ['rules', 'upstreams'])).toEqual([replaces, other]);
    expect(untoldWarnings(all, ['upstreams'], [])).toEqual([hides, other]);
    expect(untoldWarnings(all, ['rules'], [])).toEqual([replaces, other]);
  });
});
