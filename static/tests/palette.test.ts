import { describe, expect, it } from 'vitest';

import { findEntries, isWholeRequestId, moved, partOfId, partOfRequestId, type Entry, type Kind } from '@/lib/palette';

const entry = (kind: Kind, title: string, note = '', words = ''): Entry => ({ id: `${kind} ${title}`, kind, title, note, words });
const ENTRIES = [
  entry('page', 'Dashboard', '', 'dashboard'),
  entry('page', 'Upstreams', '', 'upstreams'),
  entry('page', '上游', '', 'upstreams'),
  entry('page', 'Requests', '', 'requests'),
  entry('upstream', 'relay-eu', 'https://relay.example.com'),
  entry('rule', 'anyrouter.beta-1m', 'For relay-eu', 'Adds the flag of the long context.'),
  entry('setting', 'timeouts.first_byte_timeout', 'How long an upstream may take until its response begins.', '上游响应开始前的最长等待时间。'),
  entry('setting', 'log.retention', 'How long rows of the request log are kept.', '请求日志保留多久。'),
  entry('action', 'Colours: Dark', '', 'theme dark'),
  ...Array.from({ length: 30 }, (_, index) => entry('setting', `limits.number_${index}`, '', '')),
];
const titles = (query: string): string[] => findEntries(query, ENTRIES).flatMap((group) => group.entries.map(({ title }) => title));

describe('findEntries', () => {
  it('shows what anybody may want while nothing is asked', () => {
    expect(findEntries('  ', ENTRIES).map(({ kind, entries }) => [kind, entries.length])).toEqual([['page', 4], ['action', 1]]);
  });

  it('puts first what fits best, whatever its kind', () => {
    expect(titles('requests')[0]).toBe('Requests');
    expect(titles('relay')[0]).toBe('relay-eu');
    expect(titles('dark')[0]).toBe('Colours: Dark');
    expect(titles('beta1m')[0]).toBe('anyrouter.beta-1m');
  });

  it('finds by beginnings of words, by parts, and in any order', () => {
    for (const query of ['fbt', 'first byte', 'byte first', 'FIRST_BYTE', 'timeouts.first']) expect(titles(query), query).toContain('timeouts.first_byte_timeout');
  });

  it('finds by words of either language', () => {
    expect(titles('等待')).toContain('timeouts.first_byte_timeout');
    expect(titles('保留')[0]).toBe('log.retention');
    expect(titles('rows kept')).toContain('log.retention');
    expect(titles('上游')[0]).toBe('上游');
  });

  it('finds nothing in what has nothing of it', () => {
    for (const query of ['zzz', 'qqq1', '没有的词']) expect(titles(query), query).toEqual([]);
  });

  it('shows few of each kind, and survives any query', () => {
    expect(findEntries('limits', ENTRIES)[0]?.entries).toHaveLength(20);
    expect(findEntries('s', ENTRIES).every(({ entries }) => entries.length <= 6)).toBe(true);
    for (const query of ['\\', '(', '*'.repeat(5_000), '\u0000', '😀', 'a'.repeat(100_000)]) expect(() => titles(query)).not.toThrow();
  });
});

describe('ids', () => {
  it('are asked for, and words are not', () => {
    for (const text of ['0a1b', 'dddddddd-1111-4222', 'req_019', ' 12345 ', 'session:7']) expect(partOfId(text), text).toBe(text.trim());
    for (const text of ['', 'abc', 'timeout', 'a b c 1', '上游1234', '1'.repeat(201), "1234'"]) expect(partOfId(text), text).toBeNull();
  });

  it('of requests are told from those of sessions', () => {
    expect(['req_0194', '0194ab', 'REQ_01', 'session-1', '0194-ab'].map(partOfRequestId)).toEqual(['req_0194', '0194ab', 'req_01', null, null]);
    expect(isWholeRequestId(`req_${'0a'.repeat(16)}`)).toBe(true);
    expect(isWholeRequestId('req_0a')).toBe(false);
  });
});

describe('moved', () => {
  it('goes round', () => {
    expect([moved(0, 1, 3), moved(2, 1, 3), moved(0, -1, 3), moved(0, 1, 0)]).toEqual([1, 0, 2, 0]);
  });
});
