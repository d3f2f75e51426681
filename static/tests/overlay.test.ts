import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import {
  addPrice, addUpstream, editOwnRule, keyAtLine, orderOwnRules, ownRuleTexts, problemInRule, problemsOfRuleText, rebase, removeOwnRule, setSetting, settingsOf, switchOwnRule, switchProfileRule,
} from '@/lib/overlay';

/** A problem but for its place. */
const TOLD = { key: null, message: 'm', code: 'rule_name', parameters: {} };

const FILE = `gateway:
  upstreams:
    - name: a            # the first
      base_url: https://a.example
    - base_url: https://b.example/prefix
  rules:
    - name: one
      match: {method: HEAD}
    - name: two
`;

describe('setSetting', () => {
  it('begins an overlay, and leaves nothing of it behind', () => {
    const text = setSetting('', 'gateway.timeouts.read', '900s');
    expect(text).toBe('gateway:\n  timeouts:\n    read: 900s\n');
    expect(setSetting(text, 'gateway.timeouts.read', null)).toBe('');
  });

  it('keeps comments and neighbours', () => {
    const before = '# mine\ngateway:\n  debug: true # for now\n  limits:\n    queue: 5\n';
    const after = setSetting(before, 'gateway.limits.queue', '7');
    expect(after).toContain('# mine');
    expect(after).toContain('debug: true # for now');
    expect(parse(after)).toEqual({ gateway: { debug: true, limits: { queue: 7 } } });
    expect(parse(setSetting(after, 'gateway.limits.queue', null))).toEqual({ gateway: { debug: true } });
  });

  it('writes switches and numbers as such, and the rest as text', () => {
    expect(setSetting('', 'a', 'true')).toBe('a: true\n');
    expect(setSetting('', 'a', '12')).toBe('a: 12\n');
    expect(parse(setSetting('', 'a', '500, 502: 503 # no'))).toEqual({ a: '500, 502: 503 # no' });
  });

  it('refuses a text that is no YAML', () => {
    expect(() => setSetting('a: [', 'b', '1')).toThrow();
  });
});

describe('rebase', () => {
  const base = 'gateway:\n  debug: true\n  log:\n    keep: 1d\n  rules:\n    - name: a\n';

  it('puts an edit on top of what others did', () => {
    const mine = base.replace('1d', '2d').replace('  debug: true\n', '');
    const theirs = `# theirs\n${base.replace('- name: a', '- name: b')}  limits:\n    queue: 5\n`;
    const both = rebase(base, mine, theirs);
    expect(both).toContain('# theirs');
    expect(parse(both)).toEqual({ gateway: { log: { keep: '2d' }, rules: [{ name: 'b' }], limits: { queue: 5 } } });
  });

  it('lets the own edit count where both changed the same', () => {
    expect(parse(rebase(base, base.replace('1d', '2d'), base.replace('1d', '3d')))).toEqual(parse(base.replace('1d', '2d')));
    expect(parse(rebase('', 'a: 1\n', 'b: 2\n'))).toEqual({ a: 1, b: 2 });
    expect(rebase(base, '', base)).toBe('');
  });
});

describe('rebase of named lists', () => {
  const gateway = (list: string, ...entries: string[]): string => `gateway:\n  ${list}:\n${entries.map((entry) => `    - ${entry}\n`).join('')}`;
  const names = (text: string, list = 'upstreams'): unknown[] => {
    const { gateway: found } = parse(text) as { gateway: Record<string, { name?: string; base_url?: string }[]> };
    return (found[list] ?? []).map(({ name, base_url: url }) => name ?? url);
  };
  const base = gateway('upstreams', '{name: a, priority: 1}', '{name: b}');

  it('keeps what both added, and the comments of the others\' entries', () => {
    const mine = gateway('upstreams', '{name: a, priority: 1}', '{name: b}', '{name: mine} # of mine');
    const theirs = gateway('upstreams', '{name: a, priority: 1} # the first', '{name: b}', '{name: theirs} # new');
    const both = rebase(base, mine, theirs);
    expect(names(both)).toEqual(['a', 'b', 'theirs', 'mine']);
    for (const comment of ['# the first', '# new', '# of mine']) expect(both).toContain(comment);
  });

  it('removes and changes only the entries that the edit did', () => {
    const mine = gateway('upstreams', '{name: a, priority: 2}');
    const theirs = gateway('upstreams', '{name: c}', '{name: a, priority: 1, proxy: direct} # the first', '{name: b}');
    const both = rebase(base, mine, theirs);
    expect(parse(both)).toEqual({ gateway: { upstreams: [{ name: 'c' }, { name: 'a', priority: 2, proxy: 'direct' }] } });
    expect(both).toContain('# the first');
  });

  it('leaves removed what others removed, unless the edit changed it', () => {
    const theirs = gateway('upstreams', '{name: c}');
    expect(names(rebase(base, gateway('upstreams', '{name: a, priority: 1}', '{name: b}', '{name: d}'), theirs))).toEqual(['c', 'd']);
    expect(names(rebase(base, gateway('upstreams', '{name: a, priority: 9}', '{name: b}'), theirs))).toEqual(['c', 'a']);
  });

  it('takes the file\'s list, or the built-in one, where an overlay has none', () => {
    const [mine, theirs] = ['mine', 'theirs'].map((name) => addUpstream('', FILE, { name, base_url: 'https://x.example' })) as [string, string];
    expect(names(rebase('', mine, theirs, FILE))).toEqual(['a', 'https://b.example/prefix', 'theirs', 'mine']);
    expect(names(rebase('', mine, '', FILE))).toEqual(names(mine));
    expect(names(rebase(mine, '', `${mine}    - name: theirs\n`, FILE))).toEqual(['a', 'https://b.example/prefix', 'theirs']);
    expect(rebase(mine, '', mine, FILE)).toBe('');
    const [one, two] = ['one', 'two'].map((name) => addUpstream('', '', { name, base_url: 'https://x.example' })) as [string, string];
    expect(names(rebase('', one, two))).toEqual(['anyrouter', 'two', 'one']);
  });

  it('lets the own entry count where both added the same name', () => {
    const both = rebase('', gateway('rules', '{name: x, a: 1}'), gateway('rules', '{name: x, a: 2}', '{name: y}'));
    expect(parse(both)).toEqual({ gateway: { rules: [{ name: 'x', a: 1 }, { name: 'y' }] } });
  });

  it('keeps places: of what is put between, and of what is moved', () => {
    const of = (...rules: string[]): string => gateway('rules', ...rules.map((name) => `name: ${name}`));
    expect(names(rebase(of('a', 'b'), of('a', 'm', 'b'), of('t', 'a', 'b', 'u')), 'rules')).toEqual(['t', 'a', 'm', 'b', 'u']);
    expect(names(rebase(of('a', 'b'), of('b', 'a'), of('a', 'b', 'u')), 'rules')).toEqual(['b', 'a', 'u']);
    expect(names(rebase(of('a', 'b'), 'gateway:\n  rules: []\n', of('a', 'b', 'u')), 'rules')).toEqual(['u']);
    expect(names(rebase(of('a', 'a'), of('a', 'a', 'a'), of('a', 'a')), 'rules')).toEqual(['a', 'a', 'a']);
  });
});

describe('a key that has only a comment', () => {
  const text = 'gateway:\n  # nothing here yet\n';

  it('takes settings and lists, and keeps the comment', () => {
    expect(setSetting(text, 'gateway.debug', 'true')).toBe('gateway:\n  # nothing here yet\n  debug: true\n');
    expect(addUpstream(text, FILE, { name: 'c', base_url: 'https://c.example' })).toContain('# nothing here yet');
    expect(parse(switchOwnRule(text, FILE, 'one', false))).toMatchObject({ gateway: { rules: [{ enabled: false }, {}] } });
    expect(parse(rebase('', 'gateway:\n  debug: true\n', text))).toEqual({ gateway: { debug: true } });
  });

  it('has nothing to remove', () => {
    expect(setSetting(text, 'gateway.debug', null)).toBe(text);
    expect(parse(rebase('gateway:\n  debug: true\n', 'gateway: {}\n', text))).toEqual({ gateway: null });
  });
});

describe('settingsOf', () => {
  it('tells values as text, lists with commas', () => {
    expect(Object.fromEntries(settingsOf('gateway:\n  debug: true\n  dns:\n    servers: [1.1.1.1, 8.8.8.8]\n'))).toEqual({
      'gateway.debug': 'true',
      'gateway.dns.servers': '1.1.1.1, 8.8.8.8',
    });
    expect(settingsOf('a: [').size).toBe(0);
  });
});

describe('keyAtLine', () => {
  it('finds the entry that a line belongs to', () => {
    const text = '# c\ngateway:\n  timeouts:\n    read: x\n    connect: 3s\n';
    expect(keyAtLine(text, 4)).toBe('gateway.timeouts.read');
    expect(keyAtLine(text, 5)).toBe('gateway.timeouts.connect');
    expect(keyAtLine(text, 1)).toBeNull();
  });
});

describe('rules', () => {
  it('of a profile are switched at their upstream, in a copy of the list', () => {
    const off = switchProfileRule('', FILE, 'a', 'anyrouter.beta-1m', false);
    expect(off).toContain('# the first');
    expect(parse(off)).toEqual({
      gateway: { upstreams: [{ name: 'a', base_url: 'https://a.example', profile_rules: { 'anyrouter.beta-1m': 'off' } }, { base_url: 'https://b.example/prefix' }] },
    });
    const both = switchProfileRule(off, FILE, 'b.example', 'anyrouter.compact', true);
    expect((parse(both) as { gateway: { upstreams: unknown[] } }).gateway.upstreams[1]).toEqual({
      base_url: 'https://b.example/prefix', profile_rules: { 'anyrouter.compact': 'on' },
    });
  });

  it('of a profile are switched at the built-in upstream when no file names one', () => {
    expect(parse(switchProfileRule('', '', 'anyrouter', 'anyrouter.compact', true))).toEqual({
      gateway: { upstreams: [{ name: 'anyrouter', base_url: 'https://anyrouter.top', profile_rules: { 'anyrouter.compact': 'on' } }] },
    });
  });

  it('of the operator have their texts, from the overlay if it has the list', () => {
    expect(Object.fromEntries(ownRuleTexts('', FILE))).toEqual({ one: 'name: one\nmatch: { method: HEAD }\n', two: 'name: two\n' });
    expect([...ownRuleTexts('gateway:\n  rules:\n    - name: three\n', FILE).keys()]).toEqual(['three']);
    expect(ownRuleTexts('', '').size).toBe(0);
  });

  it('of the operator are switched, replaced, added and removed', () => {
    const off = switchOwnRule('', FILE, 'one', false);
    expect(parse(off)).toMatchObject({ gateway: { rules: [{ name: 'one', enabled: false }, { name: 'two' }] } });
    expect(parse(switchOwnRule(off, FILE, 'one', true))).toEqual({ gateway: { rules: [{ name: 'one', match: { method: 'HEAD' } }, { name: 'two' }] } });
    expect(parse(editOwnRule('', FILE, 'two', '- name: zwei\n').overlay)).toMatchObject({ gateway: { rules: [{ name: 'one' }, { name: 'zwei' }] } });
    expect(parse(editOwnRule('', '', null, 'name: new\n').overlay)).toEqual({ gateway: { rules: [{ name: 'new' }] } });
    expect(parse(removeOwnRule('', FILE, 'one'))).toEqual({ gateway: { rules: [{ name: 'two' }] } });
    expect(() => switchOwnRule('', FILE, 'three', true)).toThrow('three');
    expect(() => editOwnRule('', FILE, null, 'just text')).toThrow();
  });

  it('are written line by line, also where the file has an empty list in brackets', () => {
    const empty = 'gateway:\n  rules: []\n';
    const added = 'gateway:\n  rules:\n    - name: new\n      match:\n        method: HEAD\n';
    expect(editOwnRule('', empty, null, 'name: new\nmatch:\n  method: HEAD\n').overlay).toBe(added);
    expect(editOwnRule(empty, '', null, 'name: new\nmatch:\n  method: HEAD\n').overlay).toBe(added);
  });

  it('keep a comment that ends them', () => {
    for (const text of ['name: new\n# the end\n', 'name: new\nmatch: {method: HEAD}\n# the end\n', 'name: new\nheaders:\n  set:\n    A: b\n# the end\n', '- name: new\n# the end\n']) {
      const added = editOwnRule('', FILE, null, text).overlay;
      expect(added).toContain('# the end');
      expect(ownRuleTexts(added, '').get('new')).toContain('# the end');
    }
  });

  it('have their problems at the lines of their own text', () => {
    const text = '# mine\nname: new\nmatch: {method: HEAD,\n  path: /x}\nbla: 3\n';
    const edit = editOwnRule('', FILE, null, text);
    const problem = (key: string) => {
      const line = edit.overlay.split('\n').findIndex((one) => one.includes(key)) + 1;
      const column = (edit.overlay.split('\n')[line - 1] ?? '').indexOf(key) + 1;
      return problemInRule({ ...TOLD, where: 'overlay', line, column }, edit, text);
    };
    expect(problem('bla')).toEqual({ ...TOLD, where: 'rule', line: 5, column: 1 });
    expect(problem('/x')).toEqual({ ...TOLD, where: 'rule', line: 4, column: 9 });
    expect(problem('two').where).toBe('overlay');
    expect(problemInRule({ ...TOLD, where: 'headers', line: 1, column: 1 }, edit, text).where).toBe('headers');
  });

  it('are looked at before the gateway is asked', () => {
    const words = { notARule: 'no', oneOnly: 'one' };
    expect(problemsOfRuleText('- name: a\n- name: b\n', words)).toMatchObject([{ where: 'rule', line: 2, column: 3, message: 'one' }]);
    expect(problemsOfRuleText('name: a\n', words)).toEqual([]);
    expect(problemsOfRuleText('- name: a\n', words)).toEqual([]);
    expect(problemsOfRuleText('just text', words)).toMatchObject([{ where: 'rule', line: 1, column: 1, message: 'no' }]);
    expect(problemsOfRuleText('name: a\nmatch: [', words)[0]).toMatchObject({ where: 'rule', line: 2 });
  });
});

describe('addUpstream', () => {
  it('puts it behind those that count', () => {
    const added = addUpstream('', FILE, { name: 'c', base_url: 'https://c.example', priority: 1 });
    expect(added).toContain('# the first');
    expect(added).toContain('    - name: c\n      base_url: https://c.example\n      priority: 1\n');
    expect((parse(added) as { gateway: { upstreams: unknown[] } }).gateway.upstreams).toHaveLength(3);
    expect(parse(addUpstream('', '', { name: 'c', base_url: 'https://c.example' }))).toEqual({
      gateway: { upstreams: [{ name: 'anyrouter', base_url: 'https://anyrouter.top' }, { name: 'c', base_url: 'https://c.example' }] },
    });
  });
});

describe('a price', () => {
  it('comes before the others, which stay', () => {
    const price = { models: 'new-*', input: 4, output: 20.5 };
    expect(parse(addPrice('', '', price))).toEqual({ gateway: { prices: [price] } });
    expect(addPrice('# mine\ngateway: {prices: []}\n', '', price)).toContain('# mine');
    const file = 'gateway:\n  prices:\n    - {models: a, input: 1, output: 2} # kept\n';
    const made = addPrice('', file, price);
    expect(made).toContain('# kept');
    expect(parse(made)).toEqual({ gateway: { prices: [price, { models: 'a', input: 1, output: 2 }] } });
  });
});

describe('orderOwnRules', () => {
  const file = 'gateway:\n  rules:\n    # first\n    - name: one # 1\n      enabled: false\n    - name: two\n    - name: three # 3\n';
  const namesOf = (overlay: string): string[] => [...ownRuleTexts(overlay, '').keys()];

  it('puts them in another order, with all that belongs to them', () => {
    const overlay = orderOwnRules('', file, ['three', 'one', 'two']);
    expect(namesOf(overlay)).toEqual(['three', 'one', 'two']);
    for (const kept of ['name: one # 1', 'name: three # 3', 'enabled: false']) expect(overlay).toContain(kept);
  });

  it('leaves behind what is not named, such as a rule that came meanwhile', () => {
    expect(namesOf(orderOwnRules('', file, ['two']))).toEqual(['two', 'one', 'three']);
  });
});
