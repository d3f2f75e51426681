import { describe, expect, it } from 'vitest';

import { isShort, tellVersions } from '@/lib/config_history';

const version = (name: string, at: number, overlay: string, headers = '') => ({ version: name, saved_at_ms: at, overlay, headers });

describe('the history of the configuration', () => {
  const first = version('a', 1, 'gateway:\n  log:\n    keep: 5d\n');
  const second = version('b', 2, 'gateway:\n  log:\n    keep: 7d\n  limits:\n    queue: 5\n  upstreams:\n    - {name: one, base_url: "http://a"}\n');
  const third = version('a', 3, first.overlay, '{"X-A": "1"}');

  it('has one version in force, also where a text was saved twice', () => {
    expect(tellVersions([third, second, first], 'a', '').map(({ isInForce }) => isInForce)).toEqual([true, false, false]);
    expect(tellVersions([third, second, first], 'elsewhere', '').some(({ isInForce }) => isInForce)).toBe(false);
    expect(new Set(tellVersions([third, second, first], 'a', '').map(({ id }) => id)).size).toBe(3);
  });

  it('says what each version changed against the one before it', () => {
    const [last, middle, oldest] = tellVersions([third, second, first], 'a', '');
    expect(middle?.changes).toEqual({
      settings: [{ key: 'gateway.log.keep', before: '5d', after: '7d' }, { key: 'gateway.limits.queue', before: null, after: '5' }],
      lists: [{ list: 'upstreams', added: ['one'], removed: ['anyrouter'], changed: [] }],
      isHeaders: false,
    });
    expect(last?.changes).toMatchObject({ settings: [{ after: '5d' }, { key: 'gateway.limits.queue', before: '5', after: null }], isHeaders: true });
    expect(oldest?.changes).toBeNull();
  });

  it('has no secrets and no long texts in a line', () => {
    expect(['5d', null].map(isShort)).toEqual([true, true]);
    expect(['********', '******** (b)', 'x'.repeat(33), 'two\nlines', '[{"a":1}]'].some(isShort)).toBe(false);
  });
});
