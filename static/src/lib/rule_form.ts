/**
 * A rule as a form holds it, and its YAML text. The form knows the usual parts; what it cannot hold it leaves as it is. Only
 * what was changed in the form is changed in the text, so that comments, unknown keys and the way of writing stay.
 */

import { isMap, isScalar, isSeq, parseDocument, type Document, type Node, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';

/** A name and what belongs to it, in order. */
export type Row = [name: string, value: string];

export const MODES = ['replace', 'prepend', 'append', 'insert_if_missing', 'ensure_list', 'remove'] as const;
export const TARGETS = ['first', 'identity', 'last'] as const;

export interface SystemStep {
  /** Which step of the text it was; `null` for a new one. */
  from: number | null;
  mode: string;
  /** One of `TARGETS`; empty if the text names none; `null` if it is one that only YAML can say. */
  target: string | null;
  text: string;
}

export interface Responding {
  status: string;
  /** As it is sent, or JSON of what stands in the YAML as a mapping. */
  body: string;
  isJson: boolean;
}

/** `null` is what the form cannot hold: it stays as it is written. */
export interface RuleForm {
  name: string;
  enabled: boolean;
  method: string[] | null;
  path: string[] | null;
  model: string[] | null;
  upstream: string[] | null;
  client: string[] | null;
  header: Row[] | null;
  setHeaders: Row[] | null;
  defaultHeaders: Row[] | null;
  listAdd: Row[] | null;
  removeHeaders: string[] | null;
  setQuery: Row[] | null;
  removeQuery: string[] | null;
  mapModel: Row[] | null;
  system: SystemStep[] | null;
  /** `undefined` if the rule does not answer by itself. */
  respond: Responding | undefined | null;
}

type Path = readonly string[];

const TEXTS = {
  method: ['match', 'method'], path: ['match', 'path'], model: ['match', 'model'], upstream: ['match', 'upstream'], client: ['match', 'client'],
  removeHeaders: ['headers', 'remove'], removeQuery: ['query', 'remove'],
} as const satisfies Record<string, Path>;
const ROWS = {
  header: ['match', 'header'], setHeaders: ['headers', 'set'], defaultHeaders: ['headers', 'default'], listAdd: ['headers', 'list_add'],
  setQuery: ['query', 'set'], mapModel: ['body', 'model'],
} as const satisfies Record<string, Path>;
const SYSTEM: Path = ['body', 'system'];
const RESPOND: Path = ['respond'];
const RESPOND_KEYS = ['status', 'body'];

function keysOf<T extends object>(table: T): (keyof T)[] {
  return Object.keys(table) as (keyof T)[];
}

type MapDocument = Document & { contents: YAMLMap };

/** The text as a document with a mapping, or `null` if it is something else. */
function opened(text: string): MapDocument | null {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) return null;
  if (!isMap(document.contents)) return null;
  return document as unknown as MapDocument;
}

function nodeAt(document: Document, path: Path): Node | null | undefined {
  let at: unknown = document.contents;
  for (const [depth, key] of path.entries()) {
    if (!isMap(at)) return depth > 0 && at !== null && !(isScalar(at) && at.value === null) ? null : undefined;
    at = at.get(key, true);
    if (at === undefined) return undefined;
  }
  return at as Node;
}

/** A plain value as text; `null` for what is none. What an alias or a tag stands for is left to YAML. */
function scalarText(node: unknown): string | null {
  if (!isScalar(node) || node.tag !== undefined) return null;
  if (node.value === null) return null;
  // As it is written: `1.0` is no `1`.
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

function textsOf(node: Node | null | undefined): string[] | null {
  if (node === undefined) return [];
  const one = scalarText(node);
  if (one !== null) return [one];
  if (!isSeq(node)) return null;
  const texts = node.items.map(scalarText);
  return texts.every((text) => text !== null) ? texts : null;
}

function rowsOf(node: Node | null | undefined): Row[] | null {
  if (node === undefined) return [];
  if (!isMap(node)) return null;
  const rows: Row[] = [];
  for (const { key, value } of node.items) {
    const [name, text] = [scalarText(key), scalarText(value)];
    if (name === null || text === null) return null;
    rows.push([name, text]);
  }
  return rows;
}

function stepOf(node: unknown, from: number): SystemStep | null {
  if (!isMap(node)) return null;
  const [mode, text] = [scalarText(node.get('mode', true)), node.has('text') ? scalarText(node.get('text', true)) : ''];
  if (mode === null || text === null) return null;
  const target = node.has('target') ? scalarText(node.get('target', true)) : '';
  return { from, mode, target, text };
}

function stepsOf(node: Node | null | undefined): SystemStep[] | null {
  if (node === undefined) return [];
  const steps = (isSeq(node) ? node.items : [node]).map(stepOf);
  return steps.every((step) => step !== null) ? steps : null;
}

function respondOf(node: Node | null | undefined): Responding | undefined | null {
  if (node === undefined) return undefined;
  if (!isMap(node)) return null;
  const status = node.has('status') ? scalarText(node.get('status', true)) : '';
  if (status === null) return null;
  const body = node.get('body', true);
  if (body === undefined) return { status, body: '', isJson: false };
  const text = scalarText(body);
  if (text !== null) return { status, body: text, isJson: false };
  try {
    return { status, body: JSON.stringify((body as Node).toJSON(), null, 2), isJson: true };
  } catch {
    return null;
  }
}

/** What the text says; `null` if it is no rule. */
export function readRule(text: string): RuleForm | null {
  const document = opened(text);
  if (!document) return null;
  const name = document.get('name', true);
  const enabled = nodeAt(document, ['enabled']);
  const form = {
    name: scalarText(name) ?? '', enabled: !['false', 'off', 'no', '0'].includes((scalarText(enabled) ?? '').toLowerCase()),
    system: stepsOf(nodeAt(document, SYSTEM)), respond: respondOf(nodeAt(document, RESPOND)),
  } as RuleForm;
  for (const key of keysOf(TEXTS)) form[key] = textsOf(nodeAt(document, TEXTS[key]));
  for (const key of keysOf(ROWS)) form[key] = rowsOf(nodeAt(document, ROWS[key]));
  return form;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Keys above that have nothing, or do not exist, become mappings. */
function put(document: Document, path: Path, node: Node): void {
  for (let depth = 1; depth < path.length; depth += 1) {
    if (!isMap(document.getIn(path.slice(0, depth), true))) document.setIn(path.slice(0, depth), document.createNode({}));
  }
  document.setIn(path, node);
}

/** Takes it away, and what is empty above it then; an empty `match` was written by somebody. */
function take(document: Document, path: Path): void {
  if (!document.hasIn(path)) return;
  document.deleteIn(path);
  for (let depth = path.length - 1; depth > 0; depth -= 1) {
    const above = document.getIn(path.slice(0, depth), true);
    if (isMap(above) && above.items.length === 0 && !above.comment && !above.commentBefore) document.deleteIn(path.slice(0, depth));
  }
}

/** Gives a plain value another text, in its place, with its comment. */
function retell(document: Document, node: unknown, text: string): Node {
  if (isScalar(node) && node.tag === undefined && !(text.includes('\n') && !String(node.value).includes('\n'))) {
    if (scalarText(node) !== text) {
      // What is no text may not become one by its looks: `8` stays a number, "on" keeps its quotes.
      const fresh = document.createNode(text) as { type?: string };
      if (node.type === 'PLAIN' && fresh.type !== undefined) delete node.type;
      node.value = text;
      delete node.source;
    }
    return node;
  }
  return document.createNode(text) as Node;
}

function putTexts(document: Document, path: Path, texts: readonly string[]): void {
  if (texts.length === 0) {
    take(document, path);
    return;
  }
  const node = document.getIn(path, true);
  if (isSeq(node)) {
    const left = [...node.items];
    const items = texts.map((text) => {
      const at = left.findIndex((item) => scalarText(item) === text);
      return at < 0 ? document.createNode(text) : left.splice(at, 1)[0];
    });
    (node as YAMLSeq).items = items;
    return;
  }
  const [first = ''] = texts;
  if (texts.length === 1) {
    const told = retell(document, node, first);
    if (told !== node) put(document, path, told);
    return;
  }
  const list = document.createNode(texts, { flow: true }) as YAMLSeq;
  // What was there keeps its way of writing, and its comment goes behind the list.
  if (isScalar(node)) {
    const at = texts.indexOf(scalarText(node) ?? '');
    if (node.comment) list.comment = node.comment;
    delete node.comment;
    if (at >= 0) list.items[at] = node;
  }
  put(document, path, list);
}

function putRows(document: Document, path: Path, rows: readonly Row[]): void {
  if (rows.length === 0) {
    take(document, path);
    return;
  }
  let node = document.getIn(path, true);
  if (!isMap(node)) {
    put(document, path, document.createNode({}) as Node);
    node = document.getIn(path, true);
  }
  const map = node as YAMLMap;
  const left = [...map.items];
  const find = (what: (pair: Pair) => boolean): Pair | undefined => {
    const at = left.findIndex(what);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  // First those that stay, then those with another value, then those with another name.
  const found = rows.map(([name, value]) => find((pair) => scalarText(pair.key) === name && scalarText(pair.value) === value));
  for (const [at, [name]] of rows.entries()) found[at] ??= find((pair) => scalarText(pair.key) === name);
  for (const [at, [, value]] of rows.entries()) found[at] ??= find((pair) => scalarText(pair.value) === value);
  map.items = rows.map(([name, value], at) => {
    const pair = found[at] ?? document.createPair(name, value);
    pair.key = scalarText(pair.key) === name ? pair.key : retell(document, pair.key, name);
    pair.value = scalarText(pair.value) === value ? pair.value : retell(document, pair.value, value);
    return pair;
  });
}

function putSteps(document: Document, path: Path, steps: readonly SystemStep[], before: readonly SystemStep[]): void {
  if (steps.length === 0) {
    take(document, path);
    return;
  }
  const node = document.getIn(path, true);
  const old = isSeq(node) ? node.items : isMap(node) ? [node] : [];
  const items = steps.map((step) => {
    const former = before.find(({ from }) => from !== null && from === step.from);
    const there = step.from === null ? undefined : old[step.from];
    const map = (isMap(there) ? there : document.createNode({})) as YAMLMap;
    const set = (key: string, text: string, was: string | null | undefined): void => {
      if (text === was) return;
      if (text === '') map.delete(key);
      else if (map.has(key)) map.set(key, retell(document, map.get(key, true), text));
      else map.set(key, document.createNode(text));
    };
    set('mode', step.mode, former?.mode);
    if (step.target !== null) set('target', step.target, former?.target);
    set('text', step.text, former?.text);
    return map;
  });
  if (isSeq(node)) (node as YAMLSeq).items = items;
  else if (items.length > 1) {
    const list = document.createNode([]) as YAMLSeq;
    list.items = items;
    put(document, path, list);
  } else if (items[0] && items[0] !== node) put(document, path, items[0]);
}

/** What is to be sent, as YAML: JSON becomes a mapping, everything else is a text. */
function bodyNode(document: Document, { body, isJson }: Responding): Node {
  if (isJson) {
    try {
      return document.createNode(JSON.parse(body) as unknown) as Node;
    } catch {
      // Sent as it is.
    }
  }
  return document.createNode(body) as Node;
}

function putRespond(document: Document, respond: Responding | undefined, before: Responding | null | undefined): void {
  if (respond === undefined) {
    take(document, RESPOND);
    return;
  }
  if (!isMap(document.getIn(RESPOND, true))) put(document, RESPOND, document.createNode({}) as Node);
  const map = document.getIn(RESPOND, true) as YAMLMap;
  if (respond.status !== before?.status) {
    if (respond.status === '') map.delete('status');
    else map.set('status', document.createNode(/^\d+$/.test(respond.status) ? Number(respond.status) : respond.status));
  }
  if (respond.body === before?.body && respond.isJson === before.isJson) return;
  if (respond.body === '') map.delete('body');
  else if (!respond.isJson && before?.isJson === false && map.has('body')) map.set('body', retell(document, map.get('body', true), respond.body));
  else map.set('body', bodyNode(document, respond));
}

/** The text of `before` with what `after` says otherwise. What the form cannot hold is not touched. */
export function writeRule(text: string, before: RuleForm, after: RuleForm): string {
  if (isSame(before, after) && !isRespondAnother(before, after)) return text;
  const document = opened(text);
  if (!document) return text;
  if (after.name !== before.name) document.set('name', retell(document, document.get('name', true), after.name));
  if (after.enabled !== before.enabled) {
    if (after.enabled) document.delete('enabled');
    else if (document.has('enabled')) document.set('enabled', false);
    else {
      const at = document.contents.items.findIndex(({ key }) => scalarText(key) === 'name');
      document.contents.items.splice(at + 1, 0, document.createPair('enabled', false) as never);
    }
  }
  for (const key of keysOf(TEXTS)) {
    const texts = after[key];
    if (texts !== null && !isSame(texts, before[key])) putTexts(document, TEXTS[key], texts);
  }
  for (const key of keysOf(ROWS)) {
    const rows = after[key];
    if (rows !== null && !isSame(rows, before[key])) putRows(document, ROWS[key], rows);
  }
  if (after.system !== null && !isSame(after.system, before.system)) putSteps(document, SYSTEM, after.system, before.system ?? []);
  if (after.respond !== null && isRespondAnother(before, after)) putRespond(document, after.respond, before.respond);
  return document.toString({ lineWidth: 0, flowCollectionPadding: !/\{\S/.test(text) });
}

function isRespondAnother(before: RuleForm, after: RuleForm): boolean {
  return !isSame([before.respond], [after.respond]) || (before.respond === undefined) !== (after.respond === undefined);
}

/** The keys of the text that the form does not know, with dots: they stay as they are. */
export function keptKeys(text: string): string[] {
  const document = opened(text);
  if (!document) return [];
  const known = [...Object.values(TEXTS), ...Object.values(ROWS), SYSTEM, ...RESPOND_KEYS.map((key) => ['respond', key]), ['name'], ['enabled']].map((path) => path.join('.'));
  const form = readRule(text);
  const unheld = [...Object.entries({ ...TEXTS, ...ROWS }), ['system', SYSTEM] as const, ['respond', RESPOND] as const]
    .filter(([key]) => form?.[key as keyof RuleForm] === null).map(([, path]) => path.join('.'));
  const found: string[] = [];
  for (const { key, value } of document.contents.items) {
    const name = scalarText(key) ?? '';
    if (known.includes(name)) continue;
    if (unheld.includes(name) || !known.some((one) => one.startsWith(`${name}.`))) found.push(name);
    else if (isMap(value)) {
      const inner = value.items.map((pair) => `${name}.${scalarText(pair.key) ?? ''}`);
      found.push(...inner.filter((one) => !known.includes(one) || unheld.includes(one)));
    }
  }
  return found;
}
