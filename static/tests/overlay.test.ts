import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import {
  addUpstream, editOwnRule, keyAtLine, ownRuleTexts, problemInRule, problemsOfRuleText, rebase, removeOwnRule, replaceOwnRule, setSetting, settingsOf, switchOwnRule, switchProfileRule,
} from '@/lib/overlay';

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
    expect(parse(replaceOwnRule('', FILE, 'two', '- name: zwei\n'))).toMatchObject({ gateway: { rules: [{ name: 'one' }, { name: 'zwei' }] } });
    expect(parse(replaceOwnRule('', '', null, 'name: new\n'))).toEqual({ gateway: { rules: [{ name: 'new' }] } });
    expect(parse(removeOwnRule('', FILE, 'one'))).toEqual({ gateway: { rules: [{ name: 'two' }] } });
    expect(() => switchOwnRule('', FILE, 'three', true)).toThrow('three');
    expect(() => replaceOwnRule('', FILE, null, 'just text')).toThrow();
  });

  it('are written line by line, also where the file has an empty list in brackets', () => {
    const empty = 'gateway:\n  rules: []\n';
    const added = 'gateway:\n  rules:\n    - name: new\n      match:\n        method: HEAD\n';
    expect(replaceOwnRule('', empty, null, 'name: new\nmatch:\n  method: HEAD\n')).toBe(added);
    expect(replaceOwnRule(empty, '', null, 'name: new\nmatch:\n  method: HEAD\n')).toBe(added);
  });

  it('have their problems at the lines of their own text', () => {
    const text = '# mine\nname: new\nmatch: {method: HEAD,\n  path: /x}\nbla: 3\n';
    const edit = editOwnRule('', FILE, null, text);
    const problem = (key: string) => {
      const line = edit.overlay.split('\n').findIndex((one) => one.includes(key)) + 1;
      const column = (edit.overlay.split('\n')[line - 1] ?? '').indexOf(key) + 1;
      return problemInRule({ where: 'overlay', line, column, message: 'm' }, edit, text);
    };
    expect(problem('bla')).toEqual({ where: 'rule', line: 5, column: 1, message: 'm' });
    expect(problem('/x')).toEqual({ where: 'rule', line: 4, column: 9, message: 'm' });
    expect(problem('two').where).toBe('overlay');
    expect(problemInRule({ where: 'headers', line: 1, column: 1, message: 'm' }, edit, text).where).toBe('headers');
  });

  it('are looked at before the gateway is asked', () => {
    expect(problemsOfRuleText('name: a\n', 'no')).toEqual([]);
    expect(problemsOfRuleText('- name: a\n', 'no')).toEqual([]);
    expect(problemsOfRuleText('just text', 'no')).toEqual([{ where: 'rule', line: 1, column: 1, message: 'no' }]);
    expect(problemsOfRuleText('name: a\nmatch: [', 'no')[0]).toMatchObject({ where: 'rule', line: 2 });
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
