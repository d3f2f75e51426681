import { parse, parseDocument } from 'yaml';
import { describe, expect, it } from 'vitest';

import { keptKeys, readRule, writeRule, type RuleForm } from '@/lib/rule_form';
import { mayAskForUpstream, TEMPLATES, templateText } from '@/lib/rule_templates';

const WHOLE = `# of ours
name: everything   # unique
enabled: false
match:
  method: [GET, POST]
  path: [/v1/messages, {prefix: /v1/models}]   # two of them
  model:
    - claude-opus-*   # large
    - "*sonnet*"
  not:
    header: {x-retry: {present: true}}
headers:
  set:
    X-Team: platform   # who
    X-Number: 1.0
  rename: {A: B}
  remove: X-Old
body:
  model: {"*haiku*": claude-haiku-4-5}
  system:
    # house rules
    - mode: append
      target: last
      text: |-
        House rules:
        - British English.
    - {mode: ensure_list, cache_control: false}
  set: {/max_tokens: 8}
future: {unknown: yes}
# the end
`;

/** A generator that says the same each time. */
function random(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)] as T;
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: Math.floor(next() * (most + 1)) }, make);
  return { next, pick, some };
}
const WORDS = ['a', 'true', '12', '*x*', 'on', '~', '0x1f', '# no comment', 'with: colon', ' blank ', '中文', '"quoted"', '-', '{a}', '${env.X}', '1.0', 'null', "it's", 'a\\b', '/v1/messages'];
type Random = ReturnType<typeof random>;
const names = (of: Random, most: number): string[] => [...new Set(of.some(most, () => of.pick(WORDS)))];

function formBy(of: Random): RuleForm {
  const rows = (): [string, string][] => names(of, 3).map((name) => [name, of.pick(WORDS)]);
  const texts = (): string[] => of.some(3, () => of.pick(WORDS));
  const respond = of.next() < 0.3 ? of.pick([{ status: '204', body: '', isJson: false }, { status: '', body: 'no: "text"\nof two lines', isJson: false }, { status: '403', body: JSON.stringify({ a: [1, 'b'] }, null, 2), isJson: true }]) : undefined;
  return {
    name: of.pick(WORDS), enabled: of.next() < 0.5, method: texts(), path: texts(), model: texts(), upstream: texts(), client: texts(), header: rows(), setHeaders: rows(), defaultHeaders: rows(),
    listAdd: rows(), removeHeaders: texts(), setQuery: rows(), removeQuery: texts(), mapModel: rows(), respond,
    system: of.some(2, () => ({ from: null, mode: of.pick(['append', 'replace']), target: of.pick(['', 'first', 'last']), text: of.pick([...WORDS, 'two\nlines\n', '  begins blank\nand goes on']) })),
  };
}
/** Which step it was is no part of the text. */
const plain = (form: RuleForm | null): unknown => form && { ...form, system: form.system?.map(({ mode, target, text }) => ({ mode, target, text })) };

describe('readRule', () => {
  it('reads what the form knows, and says of the rest that it is kept', () => {
    expect(readRule(WHOLE)).toEqual({
      name: 'everything', enabled: false, method: ['GET', 'POST'], path: null, model: ['claude-opus-*', '*sonnet*'], upstream: [], client: [], header: [],
      setHeaders: [['X-Team', 'platform'], ['X-Number', '1.0']], defaultHeaders: [], listAdd: [], removeHeaders: ['X-Old'], setQuery: [], removeQuery: [],
      mapModel: [['*haiku*', 'claude-haiku-4-5']], respond: undefined,
      system: [{ from: 0, mode: 'append', target: 'last', text: 'House rules:\n- British English.' }, { from: 1, mode: 'ensure_list', target: '', text: '' }],
    });
    expect(keptKeys(WHOLE)).toEqual(['match.path', 'match.not', 'headers.rename', 'body.set', 'future']);
  });

  it('reads no rule from what is none', () => {
    for (const text of ['', '# only a comment', '- a\n- b', 'text', 'a: [', 'a: 1\na: 2']) expect(readRule(text), text).toBeNull();
  });

  it('reads a body of JSON, and targets that only YAML says', () => {
    const form = readRule('name: a\nrespond: {status: 403, body: {type: error}}\nbody: {system: {mode: remove, target: {index: 2}}}\n');
    expect(form?.respond).toEqual({ status: '403', body: '{\n  "type": "error"\n}', isJson: true });
    expect(form?.system).toEqual([{ from: 0, mode: 'remove', target: null, text: '' }]);
  });
});

describe('writeRule', () => {
  const change = (text: string, edit: (form: RuleForm) => void): string => {
    const before = readRule(text) as RuleForm;
    const after = structuredClone(before);
    edit(after);
    return writeRule(text, before, after);
  };

  it('leaves every byte of a text whose form did not change', () => {
    expect(change(WHOLE, () => undefined)).toBe(WHOLE);
  });

  it('changes one thing, and keeps comments, unknown keys and all other lines', () => {
    const after = change(WHOLE, (form) => {
      form.setHeaders = [['X-Team', 'research'], ['X-Number', '1.0']];
    });
    // The library writes one blank before a comment.
    const unspaced = (of: string): string => of.replace(/ +#/g, ' #');
    expect(after.split('\n').filter((line) => !unspaced(WHOLE).includes(unspaced(line)))).toEqual(['    X-Team: research # who']);
    expect(parse(after)).toEqual({ ...(parse(WHOLE) as object), headers: { set: { 'X-Team': 'research', 'X-Number': 1 }, rename: { A: 'B' }, remove: 'X-Old' } });
    expect(after).toContain('X-Number: 1.0');
  });

  it('adds to lists and takes from them where they stand', () => {
    const after = change(WHOLE, (form) => {
      form.model = ['*sonnet*', 'claude-haiku-*'];
      form.removeHeaders = ['X-Old', 'X-Older'];
      form.method = [];
    });
    expect(after).toContain('    - "*sonnet*"\n    - claude-haiku-*\n');
    expect(parse(after)).toMatchObject({ match: { model: ['*sonnet*', 'claude-haiku-*'] }, headers: { remove: ['X-Old', 'X-Older'] } });
    expect(after).not.toContain('method');
    expect(after).toContain('{prefix: /v1/models}');
  });

  it('renames a row in its place, and keeps its comment', () => {
    const after = change(WHOLE, (form) => {
      form.setHeaders = [['X-Group', 'platform'], ['X-Number', '1.0']];
    });
    expect(after).toMatch(/X-Group: platform +# who/);
  });

  it('keeps what it cannot say of a step, and its text over several lines', () => {
    const after = change(WHOLE, (form) => {
      form.system = form.system?.reverse() ?? null;
      if (form.system?.[0]) form.system[0].target = 'first';
      if (form.system?.[1]) form.system[1].text += '\n- No emojis.';
    });
    expect((parse(after) as { body: { system: unknown } }).body.system).toEqual([
      { mode: 'ensure_list', cache_control: false, target: 'first' }, { mode: 'append', target: 'last', text: 'House rules:\n- British English.\n- No emojis.' },
    ]);
    expect(after).toContain('text: |-\n');
  });

  it('removes what is empty then, but nothing that somebody wrote', () => {
    const text = 'name: a\nmatch: {path: /x}\nheaders: {set: {A: b}, rename: {C: D}}\nquery: {set: {a: b}}\n';
    const after = change(text, (form) => Object.assign(form, { path: [], setHeaders: [], setQuery: [] }));
    expect(parse(after)).toEqual({ name: 'a', headers: { rename: { C: 'D' } } });
  });

  it('switches off and on', () => {
    const text = 'name: a # ours\nheaders: {remove: B}\n';
    const off = change(text, (form) => (form.enabled = false));
    expect(off).toBe('name: a # ours\nenabled: false\nheaders: {remove: B}\n');
    expect(change(off, (form) => (form.enabled = true))).toBe(text);
  });

  it('keeps an answer of JSON as a mapping, and the headers beside it', () => {
    const text = 'name: a\nrespond:\n  status: 403 # no\n  headers: {A: b}\n  body: {type: error}\n';
    const after = change(text, (form) => (form.respond = { status: '404', body: '{"type":"gone"}', isJson: true }));
    expect(parse(after)).toEqual({ name: 'a', respond: { status: 404, headers: { A: 'b' }, body: { type: 'gone' } } });
  });

  it('says after any edit what the form said, whatever stood there', () => {
    for (let seed = 1; seed <= 400; seed += 1) {
      const of = random(seed);
      const begin = of.pick([WHOLE, 'name: x\n', ...TEMPLATES.map((template) => templateText(template, null)), writeRule('name: x\n', readRule('name: x\n') as RuleForm, formBy(of))]);
      const before = readRule(begin) as RuleForm;
      const wanted = formBy(of);
      // What a form cannot hold it cannot change; steps are the ones that were there, or new ones.
      const after = Object.fromEntries(Object.entries(wanted).map(([key, value]) => [key, before[key as keyof RuleForm] === null || of.next() < 0.4 ? before[key as keyof RuleForm] : value])) as unknown as RuleForm;
      const text = writeRule(begin, before, after);
      expect(plain(readRule(text)), `${seed}\n${begin}\n${text}`).toEqual(plain(after));
      const [old, fresh] = [parse(begin), parse(text)] as [Record<string, unknown>, Record<string, unknown>];
      expect(fresh['future'], `${seed}`).toEqual(old['future']);
      for (const comment of ['# of ours', '# the end']) if (begin.includes(comment)) expect(text, `${seed}`).toContain(comment);
      // Writing the same once more changes nothing.
      const again = readRule(text) as RuleForm;
      expect(writeRule(text, again, structuredClone(again)), `${seed}`).toBe(text);
      expect(parseDocument(text).errors, text).toEqual([]);
    }
  }, 60_000);
});

describe('templates', () => {
  it('are rules that the form knows as a whole', () => {
    for (const template of TEMPLATES) {
      const text = templateText(template, null);
      expect(readRule(text)?.name, text).toMatch(/^[a-z-]+$/);
      expect(keptKeys(text), text).toEqual([]);
    }
  });

  it('are for one upstream where they stand under one, and take no name twice', () => {
    for (const template of TEMPLATES) {
      const form = readRule(templateText(template, 'my relay', ['my-rule', 'set-header']));
      expect(form?.upstream).toEqual(mayAskForUpstream(template) ? ['my relay'] : []);
    }
    expect(readRule(templateText('header', null, ['set-header', 'set-header-2']))?.name).toBe('set-header-3');
  });
});
