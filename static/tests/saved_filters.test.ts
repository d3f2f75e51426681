import { describe, expect, it } from 'vitest';

import { cleanName, filterOf, isSameFilter, MOST_SAVED, readSaved, withName, withoutSaved, withSaved, writeSaved, type SavedFilter } from '@/lib/saved_filters';

const one: SavedFilter = { page: 'requests', name: 'Failures of today', query: { range: 'today', outcome: 'upstream_error' } };
const other: SavedFilter = { page: 'sessions', name: 'Dear ones', query: { range: '7d', sort: 'cost' } };
const stored = (filters: unknown, version: unknown = 1): string => JSON.stringify({ version, filters });

describe('filterOf', () => {
  it('is what the page knows of its URL, without what is open', () => {
    expect(filterOf('requests', { range: '24h', id: 'req_1', model: 'a,b', status: 'teapot', evil: 'x', q: 'a&b' })).toEqual({ range: '24h', model: 'a,b', q: 'a&b' });
    // Sessions are always those of a time.
    expect([filterOf('sessions', {}), filterOf('requests', {})]).toEqual([{ range: '24h' }, {}]);
    expect(filterOf('sessions', { range: 'custom', from: '1', to: '2', sort: 'cost', key: 'ab', cursor: 'x', q: ['a'] })).toEqual({ range: 'custom', from: '1', to: '2', sort: 'cost', key: 'ab' });
  });
});

describe('the storage', () => {
  it('gives back what was written', () => {
    expect(readSaved(writeSaved([one, other]))).toEqual([one, other]);
  });

  it('may hold anything: what makes no sense is left out', () => {
    for (const text of [null, '', 'null', '[]', '{', '"x"', stored([one], 2), stored({}), '{"version":1}']) expect(readSaved(text), String(text)).toEqual([]);
    const odd = [null, 1, [], {}, { ...one, page: 'config' }, { ...one, name: '  ' }, { ...one, name: 7 }, { ...one, query: [] }, { ...one, query: 'x' }];
    expect(readSaved(stored([...odd, one]))).toEqual([one]);
    expect(readSaved(stored([{ ...one, query: { range: 'today', model: 7, q: 'x'.repeat(3_000), __proto__: 'x', outcome: 'no_such' } }]))).toEqual([{ ...one, query: { range: 'today' } }]);
    expect(readSaved(stored([one, { ...one, query: {} }]))).toEqual([one]);
  });

  it('is bounded', () => {
    const many = Array.from({ length: 80 }, (_, index) => ({ ...one, name: `number ${index}` }));
    expect(readSaved(stored(many))).toHaveLength(MOST_SAVED);
    expect(readSaved(stored([{ ...one, name: 'n'.repeat(500) }]))[0]?.name).toHaveLength(60);
  });
});

describe('the list', () => {
  it('has one of each name and page, and so many at most', () => {
    const same = { ...one, query: {} };
    expect(withSaved([one, other], same)).toEqual([same, other]);
    expect(withSaved([one], { ...one, page: 'sessions' })).toHaveLength(2);
    const full = Array.from({ length: MOST_SAVED }, (_, index) => ({ ...one, name: `number ${index}` }));
    expect(withSaved(full, one)).toBeNull();
    expect(withSaved(full, { ...one, name: 'number 7' })).toHaveLength(MOST_SAVED);
  });

  it('renames and deletes one', () => {
    expect(withName([one, other], one, 'Other')).toEqual([{ ...one, name: 'Other' }, other]);
    expect(withName([one, { ...one, name: 'Other' }], one, 'Other')).toBeNull();
    expect(withName([one], one, one.name)).toEqual([one]);
    expect(withoutSaved([one, { ...one, page: 'sessions' }], one)).toEqual([{ ...one, page: 'sessions' }]);
  });

  it('compares filters by what they hold', () => {
    expect(isSameFilter({ a: '1', b: '2' }, { b: '2', a: '1' })).toBe(true);
    expect(isSameFilter({ a: '1' }, { a: '1', b: '2' })).toBe(false);
    expect(cleanName('  two \n words  ')).toBe('two words');
  });
});
