import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import {
  areKeysLost, copyOf, emptyUpstream, faultsOf, lostSecrets, orderUpstreams, placesIn, putUpstream, readUpstream, removeUpstream, switchUpstream, upstreamsIn, type UpstreamForm,
} from '@/lib/upstream_form';
import { newKey } from '@/lib/upstream_keys';

const MASK = '********';
const FILE = `gateway:
  upstreams:
    - name: a            # the first
      base_url: https://a.example   # of ours
      lines: [one.example, two.example]   # both
      cost_factor: 0.50
      future: {x: 1}
      profile_rules:
        anyrouter.compact: on   # small
    - base_url: https://b.example/prefix
      priority: 5
    - name: pool
      base_url: https://pool.example
      priority: 7
      api_keys:
        - { key: "${MASK}", name: k1, weight: 2 }   # kept
        - { key: "\${env.B}", name: k2 }
      test: {every: 6h, model: claude-haiku-4-5}
`;
type Entry = Record<string, unknown>;
const entries = (overlay: string): Entry[] => (parse(overlay) as { gateway: { upstreams: Entry[] } }).gateway.upstreams;
const edit = (name: string, change: Partial<UpstreamForm>, overlay = ''): string => putUpstream(overlay, FILE, name, { ...readUpstream(overlay, FILE, name), ...change });

describe('readUpstream', () => {
  it('says what an entry says, and nothing of what it does not', () => {
    expect(readUpstream('', FILE, 'a')).toEqual({ ...emptyUpstream(), name: 'a', url: 'https://a.example', lines: 'one.example\ntwo.example', costFactor: '0.50' });
    expect(readUpstream('', FILE, 'pool')).toMatchObject({ testEvery: '6h', testModel: 'claude-haiku-4-5', priority: '7', keys: [{ name: 'k1', weight: '2', key: MASK }, { name: 'k2', key: '${env.B}' }] });
    expect(readUpstream('', FILE, 'b.example').name).toBe('b.example');
    expect(readUpstream('', '', 'anyrouter').url).toBe('https://anyrouter.top');
  });
});

describe('putUpstream', () => {
  it('changes one value, and keeps comments, unknown keys and the way of writing', () => {
    const overlay = edit('a', { url: 'https://c.example', priority: '3' });
    expect(overlay).toMatch(/base_url: https:\/\/c\.example +# of ours/);
    for (const kept of ['# the first', '# both', 'cost_factor: 0.50', 'future: {x: 1}', '# small']) expect(overlay.replace(/\{ /g, '{').replace(/ \}/g, '}')).toContain(kept);
    expect(entries(overlay)[0]).toEqual({ ...entries(FILE)[0], base_url: 'https://c.example', priority: 3 });
    expect(entries(overlay).slice(1)).toEqual(entries(FILE).slice(1));
  });

  it('writes each value where it belongs, and reads it again', () => {
    const form: UpstreamForm = {
      ...emptyUpstream(), name: 'new', url: 'https://n.example', profile: 'none', proxy: 'off', lines: 'x.example\ny.example:8443', longContext: '*opus*', priority: '1', weight: '2', most: '20',
      costFactor: '0.5', http: 'auto', preserveHost: 'true', sni: 's.example', insecure: 'false', probe: '/v1/models', connectTimeout: '3s', readTimeout: '300s', firstByteTimeout: '9s',
      firstEventTimeout: '15s', thinking: 'on', testEvery: '6h', testModel: 'haiku', testKey: 'k', balanceKind: 'new-api', balanceInterval: '10m', balanceRestBelow: '1.5', enabled: false,
      keys: [{ ...newKey(), key: 'sk-x', name: 'k' }],
    };
    const overlay = putUpstream('', FILE, null, form);
    expect(entries(overlay)).toHaveLength(4);
    expect(entries(overlay)[3]).toEqual({
      name: 'new', enabled: false, base_url: 'https://n.example', profile: 'none', proxy: 'off', priority: 1, weight: 2, max_in_flight: 20, cost_factor: 0.5, http: 'auto', preserve_host: true,
      sni: 's.example', insecure: false, probe: '/v1/models', connect_timeout: '3s', read_timeout: '300s', first_byte_timeout: '9s', first_event_timeout: '15s', thinking_controls: 'on',
      test: { every: '6h', model: 'haiku', key: 'k' }, balance: { kind: 'new-api', interval: '10m', rest_below: 1.5 }, lines: ['x.example', 'y.example:8443'], long_context: ['*opus*'],
      api_keys: [{ key: 'sk-x', name: 'k' }],
    });
    const read = readUpstream(overlay, '', 'new');
    expect(read).toEqual({ ...form, keys: [{ ...form.keys[0], from: 0 }] });
    expect(putUpstream(overlay, '', 'new', read)).toBe(overlay);
    expect(entries(putUpstream(overlay, '', 'new', { ...emptyUpstream(), name: 'new', url: 'https://n.example' }))[3]).toEqual({ name: 'new', base_url: 'https://n.example' });
  });

  it('takes any form, and says the same again', () => {
    const words = ['', 'true', '12', 'a: b', '# x', '*', '~', "it's", '${env.X}'];
    let state = 7;
    const pick = (): string => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return words[state % words.length] ?? '';
    };
    for (let round = 0; round < 300; round += 1) {
      const before = readUpstream('', FILE, 'a');
      const form = Object.fromEntries(Object.entries(before).map(([field, value]) => [field, typeof value === 'string' && !['name', 'url'].includes(field) ? pick() : value])) as unknown as UpstreamForm;
      const overlay = putUpstream('', FILE, 'a', form);
      expect(readUpstream(overlay, FILE, 'a'), overlay).toEqual(form);
      expect(entries(overlay)[0]?.['future']).toEqual({ x: 1 });
      expect(overlay).toContain('# the first');
    }
  }, 60_000);

  it('gives an upstream without a name one when it gets another', () => {
    expect(entries(edit('b.example', { name: 'bee' }))[1]).toEqual({ base_url: 'https://b.example/prefix', priority: 5, name: 'bee' });
    expect(entries(edit('b.example', { weight: '2' }))[1]).toEqual({ base_url: 'https://b.example/prefix', priority: 5, weight: 2 });
  });

  it('loses no secret without a word', () => {
    const pool = readUpstream('', FILE, 'pool');
    const renamed = { ...pool, name: 'other' };
    expect(areKeysLost(pool, pool)).toEqual([false, false]);
    expect(areKeysLost(pool, renamed)).toEqual([true, false]);
    expect(() => edit('pool', { name: 'other' })).toThrow(/keyAgain/);
    const proxied = `gateway:\n  upstreams:\n    - {name: p, base_url: "https://p.example", proxy: "http://u:${MASK}@h:1"}\n`;
    const form = readUpstream(proxied, '', 'p');
    expect(lostSecrets(form, form)).toEqual([]);
    expect(lostSecrets(form, { ...form, name: 'q' })).toEqual(['proxy']);
  });
});

describe('a copy', () => {
  it('has all but the name and masked keys, and stands behind what it is of', () => {
    const form = copyOf(readUpstream('', FILE, 'pool'), ['a', 'pool', 'pool-2']);
    expect(form.name).toBe('pool-3');
    const overlay = putUpstream('', FILE, null, form, 'pool');
    expect(entries(overlay)[3]).toEqual({ name: 'pool-3', base_url: 'https://pool.example', priority: 7, api_keys: [{ key: '${env.B}', name: 'k2' }], test: { every: '6h', model: 'claude-haiku-4-5' } });
    const second = putUpstream('', FILE, null, copyOf(readUpstream('', FILE, 'a'), []), 'a');
    expect(entries(second)[1]).toEqual({ ...entries(FILE)[0], name: 'a-2' });
    expect(entries(second)[0]).toEqual(entries(FILE)[0]);
  });
});

describe('switching and removing', () => {
  it('switches off and on without a trace', () => {
    const off = switchUpstream('', FILE, 'b.example', false);
    expect(upstreamsIn(off, FILE)[1]).toEqual({ name: 'b.example', priority: 5, enabled: false });
    expect(entries(switchUpstream(off, FILE, 'b.example', true))).toEqual(entries(FILE));
  });

  it('removes one, and no other', () => {
    expect(entries(removeUpstream('', FILE, 'a')).map((entry) => entry['base_url'])).toEqual(['https://b.example/prefix', 'https://pool.example']);
    expect(() => removeUpstream('', FILE, 'nobody')).toThrow();
  });
});

describe('the order', () => {
  it('is that of the priorities', () => {
    expect(placesIn('', FILE)).toEqual([{ name: 'a', isWithFormer: false }, { name: 'b.example', isWithFormer: false }, { name: 'pool', isWithFormer: false }]);
  });

  it('stays as it is written while it says the same', () => {
    expect(entries(orderUpstreams('', FILE, placesIn('', FILE)))).toEqual(entries(FILE));
  });

  it('is written as priorities, and read again', () => {
    const names = ['a', 'b.example', 'pool'];
    for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
      for (const flags of [[false, false], [false, true], [true, false], [true, true]]) {
        const places = order.map((at, index) => ({ name: names[at] ?? '', isWithFormer: index > 0 && flags[index - 1] === true }));
        const overlay = orderUpstreams('', FILE, places);
        expect(placesIn(overlay, FILE)).toEqual(places);
        expect(overlay).toContain('# the first');
        expect(entries(overlay)).toHaveLength(3);
      }
    }
  });
});

describe('faultsOf', () => {
  it('finds what the gateway would refuse', () => {
    expect(faultsOf({ ...emptyUpstream(), name: 'a', url: 'https://a.example' }, [])).toEqual({});
    expect(faultsOf({ ...emptyUpstream(), name: ' a ', url: 'a.example', weight: 'x', costFactor: '1,5', readTimeout: 'soon', testEvery: '6h' }, ['a'])).toEqual({
      name: 'taken', url: 'url', weight: 'whole', costFactor: 'number', readTimeout: 'duration', testModel: 'both',
    });
  });
});
