/**
 * Edits of the overlay's YAML text that leave the rest of it, comments too, as it stands. The overlay has the shape of
 * the operator's file; a value or a list that it has counts, the rest is the file's.
 */

import {
  Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parse, parseDocument, visit, type Node, type YAMLMap, type YAMLSeq,
} from 'yaml';

import type { ConfigProblem } from '@/api/types';

import { OverlayFault } from './overlay_fault';

/** What is in force when neither file has the list. */
export const DEFAULT_UPSTREAMS = [{ name: 'anyrouter', base_url: 'https://anyrouter.top' }];

export const UPSTREAMS = ['gateway', 'upstreams'];
const RULES = ['gateway', 'rules'];
const PRICES = ['gateway', 'prices'];
/** The lists whose entries have names, and what counts when no file has them. */
const NAMED_LISTS = [{ at: UPSTREAMS, otherwise: DEFAULT_UPSTREAMS }, { at: RULES, otherwise: [] }];

export function open(text: string): Document {
  const document = parseDocument(text);
  if (document.errors[0]) throw new OverlayFault('notYaml', document.errors[0].message);
  // An empty text, or only comments, has no contents to put anything into.
  if (!isMap(document.contents)) document.contents = document.createNode({}) as never;
  return document;
}

export function write(document: Document): string {
  if (isMap(document.contents) && document.contents.items.length === 0) return '';
  return document.toString({ lineWidth: 0 });
}

type Path = readonly (string | number)[];

/** Puts a value into the document; a key above it that has nothing, or only a comment, becomes a mapping. */
function put(document: Document, path: Path, value: unknown): void {
  for (let depth = 1; depth < path.length; depth += 1) {
    const above = document.getIn(path.slice(0, depth), true);
    if (!isScalar(above) || above.value !== null) continue;
    const map = document.createNode({});
    const comments = [above.commentBefore, above.comment].filter((comment) => typeof comment === 'string');
    if (comments.length > 0) map.commentBefore = comments.join('\n');
    document.setIn(path.slice(0, depth), map);
  }
  document.setIn(path, value);
}

function remove(document: Document, path: Path): void {
  if (document.hasIn(path)) document.deleteIn(path);
}

/** `true`, `12` and `off` mean in YAML what they mean in the form; everything else is a text. */
function scalar(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : text;
}

/** The overlay with this setting; with `null` without it, so that the file's value counts again. */
export function setSetting(overlay: string, key: string, value: string | null): string {
  const document = open(overlay);
  const path = key.split('.');
  if (value === null) {
    if (!document.hasIn(path)) return overlay;
    document.deleteIn(path);
    for (let depth = path.length - 1; depth > 0; depth -= 1) {
      const parent = document.getIn(path.slice(0, depth));
      if (isMap(parent) && parent.items.length === 0) document.deleteIn(path.slice(0, depth));
    }
  } else {
    put(document, path, scalar(value));
  }
  return write(document);
}

/**
 * An edit of `base` that became `mine`, made anew on `theirs`. Where both changed the same, mine counts; what only they
 * changed stays. The entries of named lists are told apart by their names; a list that an overlay lacks is its file's.
 */
export function rebase(base: string, mine: string, theirs: string, baseFile = '', file = baseFile): string {
  const document = open(theirs);
  const apply = (before: unknown, after: unknown, path: Path): void => {
    if (isSame(before, after)) return;
    const list = NAMED_LISTS.find(({ at }) => at.join() === path.join());
    const there = plainAt(document, path);
    const isAsBefore = isSame(before, there);
    if (list && (Array.isArray(after) || (after === undefined && !isAsBefore))) {
      const [old, fresh] = [base, mine].map((text) => entriesOf(ownList(open(text), baseFile, list.at, list.otherwise))) as [Entries, Entries];
      mergeEntries(ownList(document, file, list.at, list.otherwise), old, fresh, (name, index) => {
        apply(old.get(name)?.toJSON(), fresh.get(name)?.toJSON(), [...path, index]);
      });
      return;
    }
    if (after === undefined && isAsBefore) remove(document, path);
    else if (isPlain(before ?? {}) && isPlain(after ?? {}) && (isPlain(there) || (isPlain(before) && isPlain(after)))) {
      const [old, fresh] = [before ?? {}, after ?? {}] as [Record<string, unknown>, Record<string, unknown>];
      for (const key of new Set([...Object.keys(old), ...Object.keys(fresh)])) apply(old[key], fresh[key], [...path, key]);
    } else if (after === undefined) remove(document, path);
    else put(document, path, document.createNode(after));
  };
  apply(parse(base) ?? {}, parse(mine) ?? {}, []);
  return write(document);
}

type Entries = Map<string, Node>;

function entriesOf({ items }: YAMLSeq<Node>): Entries {
  const found: Entries = new Map();
  for (const item of items) {
    const name = (isMap(item) && String(nameOf(item))) || JSON.stringify(item);
    let unique = name;
    for (let count = 2; found.has(unique); count += 1) unique = `${name} (${count})`;
    found.set(unique, item);
  }
  return found;
}

/** Puts what became of `old` into a list that others may have changed too; `change` does it to an entry that all three have. */
function mergeEntries(list: YAMLSeq<Node>, old: Entries, fresh: Entries, change: (name: string, index: number) => void): void {
  const theirs = entriesOf(list);
  for (const [index, name] of [...theirs.keys()].entries()) {
    if (old.has(name) && fresh.has(name)) change(name, index);
    else if (fresh.has(name) && !isSame(theirs.get(name), fresh.get(name))) list.items[index] = fresh.get(name) as Node;
  }
  // An entry may have got another node by that.
  const result: Entries = new Map([...theirs.keys()].map((name, index) => [name, list.items[index] as Node]));
  for (const name of old.keys()) if (!fresh.has(name)) result.delete(name);
  for (const [name, node] of fresh) if (!result.has(name) && !isSame(old.get(name), node)) result.set(name, node);

  const [before, after] = [old, fresh].map((one) => [...one.keys()].filter((name) => old.has(name) && fresh.has(name)));
  const orders = [[...theirs.keys()], [...fresh.keys()]];
  const [first = [], second = []] = isSame(before, after) ? orders : orders.reverse();
  const names = first.filter((name) => result.has(name));
  // What the other order alone has goes before the entry that it stands before there.
  let at = names.length;
  for (const name of second.reverse()) {
    if (names.includes(name)) at = names.indexOf(name);
    else if (result.has(name)) names.splice(at, 0, name);
  }
  list.items = names.map((name) => result.get(name) as Node);
  if (theirs.size === 0) list.flow = false;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function plainAt(document: Document, path: Path): unknown {
  const node = document.getIn(path, true);
  return isNode(node) ? (node.toJSON() as unknown) : undefined;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the overlay says about settings: keys with dots, values as text; lists of plain values with commas. */
export function settingsOf(overlay: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (Array.isArray(value)) {
      if (value.every((item) => typeof item !== 'object')) found.set(path, value.join(', '));
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) walk(inner, path === '' ? name : `${path}.${name}`);
    } else if (path !== '') found.set(path, value === null || value === undefined ? '' : String(value));
  };
  try {
    walk(parse(overlay), '');
  } catch {
    // A text that is being edited is often no YAML for a moment; the check says so.
  }
  return found;
}

/** The key, with dots, of the entry that this line belongs to. */
export function keyAtLine(text: string, line: number): string | null {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  let best: string | null = null;
  visit(document, {
    Pair(_, pair, ancestors) {
      if (!isScalar(pair.key) || !pair.key.range || counter.linePos(pair.key.range[0]).line > line) return;
      const parents = ancestors.filter(isPair).map((parent) => (isScalar(parent.key) ? String(parent.key.value) : ''));
      best = [...parents, String(pair.key.value)].join('.');
    },
  });
  return best;
}

/** The list in the overlay; if it has none, a copy of the file's is put there first. */
export function ownList(document: Document, file: string, path: Path, otherwise: unknown): YAMLSeq<Node> {
  let list = document.getIn(path, true);
  if (!isSeq(list)) {
    const inFile = parseDocument(file).getIn(path, true);
    put(document, path, isSeq(inFile) ? inFile.clone() : document.createNode(otherwise));
    list = document.getIn(path, true);
  }
  if (!isSeq(list)) throw new OverlayFault('noList', path.join('.'));
  return list as YAMLSeq<Node>;
}

/** What an upstream or a rule is called. */
export function nameOf(entry: YAMLMap): unknown {
  const url = entry.get('base_url');
  return entry.get('name') ?? (typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname : '');
}

export function named({ items }: YAMLSeq<Node>, name: string): YAMLMap {
  const found = items.filter(isMap).find((item) => nameOf(item) === name);
  if (!found) throw new OverlayFault('notInList', name);
  return found;
}

/** Switches a rule of an upstream's profile. */
export function switchProfileRule(overlay: string, file: string, upstream: string, rule: string, isOn: boolean): string {
  const document = open(overlay);
  const entry = named(ownList(document, file, UPSTREAMS, DEFAULT_UPSTREAMS), upstream);
  const rules = entry.get('profile_rules', true);
  if (isMap(rules)) rules.set(rule, isOn ? 'on' : 'off');
  else entry.set('profile_rules', document.createNode({ [rule]: isOn ? 'on' : 'off' }));
  return write(document);
}

export interface NewUpstream {
  name: string;
  base_url: string;
  profile?: string;
  priority?: number;
  proxy?: string;
}

/** One more upstream, at the end of the list. */
export function addUpstream(overlay: string, file: string, upstream: NewUpstream): string {
  const document = open(overlay);
  const list = ownList(document, file, UPSTREAMS, DEFAULT_UPSTREAMS);
  list.flow = false;
  list.items.push(document.createNode(upstream));
  return write(document);
}

export interface NewPrice {
  models: string;
  input?: number;
  output?: number;
  cache_write?: number;
  cache_read?: number;
}

/** One more price, before the others: the first that fits counts. */
export function addPrice(overlay: string, file: string, price: NewPrice): string {
  const document = open(overlay);
  const list = ownList(document, file, PRICES, []);
  list.flow = false;
  list.items.unshift(document.createNode(price));
  return write(document);
}

/** Switches one of the operator's own rules. */
export function switchOwnRule(overlay: string, file: string, rule: string, isOn: boolean): string {
  const document = open(overlay);
  const entry = named(ownList(document, file, RULES, []), rule);
  if (isOn) entry.delete('enabled');
  else entry.set('enabled', false);
  return write(document);
}

/** The texts of the operator's own rules that are in force, by name. */
export function ownRuleTexts(overlay: string, file: string): Map<string, string> {
  const [above, below] = [overlay, file].map((text) => parseDocument(text));
  const list = [above?.getIn(RULES), below?.getIn(RULES)].find((found) => isSeq(found));
  const texts = new Map<string, string>();
  for (const item of isSeq(list) ? list.items : []) {
    if (isMap(item)) texts.set(String(item.get('name')), new Document(item).toString({ lineWidth: 0 }));
  }
  return texts;
}

/** The one rule in a text, with a comment that ends it; it may come as an entry of a list too. */
function ruleIn(document: Document.Parsed): YAMLMap | null {
  const contents = isSeq(document.contents) && document.contents.items.length === 1 ? document.contents.items[0] : document.contents;
  if (!isMap(contents)) return null;
  const comments = [contents.comment, document.contents === contents ? null : document.contents?.comment, document.comment];
  const comment = comments.filter((one) => typeof one === 'string').join('\n');
  if (comment !== '') contents.comment = comment;
  return contents;
}

/** The own rules in this order; one that is not named stays behind. */
export function orderOwnRules(overlay: string, file: string, names: readonly string[]): string {
  const document = open(overlay);
  const list = ownList(document, file, RULES, []);
  const place = (item: Node): number => {
    const at = isMap(item) ? names.indexOf(String(item.get('name'))) : -1;
    return at < 0 ? names.length : at;
  };
  list.items = [...list.items].sort((one, other) => place(one) - place(other));
  return write(document);
}

export interface RuleEdit {
  overlay: string;
  /** Where the rule stands in the overlay's list. */
  index: number;
}

/** Puts another text in the place of an own rule; with `null` as its name, at the end of the list. */
export function editOwnRule(overlay: string, file: string, rule: string | null, text: string): RuleEdit {
  const document = open(overlay);
  const list = ownList(document, file, RULES, []);
  const parsed = parseDocument(text);
  if (parsed.errors[0]) throw new OverlayFault('notYaml', parsed.errors[0].message);
  const contents = ruleIn(parsed);
  if (!contents) throw new OverlayFault('noRule');
  const index = rule === null ? list.items.length : list.items.indexOf(named(list, rule));
  list.items[index] = contents;
  // Entries stand line by line, also in a list that was written as `[]`.
  list.flow = false;
  return { overlay: write(document), index };
}

/** A problem that the panel finds itself, in words of its own. */
const OWN = { where: 'rule', key: null, code: '', parameters: {} };

/** What is wrong with the text of a rule before the gateway is asked, with words for what is no mapping or a list of several. */
export function problemsOfRuleText(text: string, words: { notARule: string; oneOnly: string }): ConfigProblem[] {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const problems = document.errors.map(({ message, pos }): ConfigProblem => {
    const { line, col } = lineCounter.linePos(pos[0]);
    return { where: 'rule', line, column: col, key: null, message, code: 'not_yaml', parameters: { said: message } };
  });
  if (problems.length > 0) return problems;
  const second = isSeq(document.contents) ? (document.contents.items[1] as Node | undefined) : undefined;
  if (second) {
    const { line, col } = lineCounter.linePos(second.range?.[0] ?? 0);
    return [{ ...OWN, line, column: col, message: words.oneOnly }];
  }
  return ruleIn(document) ? [] : [{ ...OWN, line: 1, column: 1, message: words.notARule }];
}

function scalarStarts(node: unknown): number[] {
  const starts: number[] = [];
  visit(node as Node, { Scalar: (_, { range }) => void starts.push(range?.[0] ?? 0) });
  return starts;
}

/** A problem of the overlay, told by the line of the rule's own text: both texts have the same keys and values in the same order. */
export function problemInRule(problem: ConfigProblem, { overlay, index }: RuleEdit, text: string): ConfigProblem {
  if (problem.where !== 'overlay' || problem.line === null) return problem;
  const [counter, ownCounter] = [new LineCounter(), new LineCounter()];
  const item = parseDocument(overlay, { lineCounter: counter }).getIn([...RULES, index], true);
  const rule = ruleIn(parseDocument(text, { lineCounter: ownCounter }));
  const at = (counter.lineStarts[problem.line - 1] ?? 0) + Math.max(0, (problem.column ?? 1) - 1);
  if (!rule || !isMap(item) || !item.range || at < item.range[0] || at >= item.range[2]) return problem;
  const nth = scalarStarts(item).filter((start) => start <= at).length - 1;
  const { line, col } = ownCounter.linePos(scalarStarts(rule)[Math.max(0, nth)] ?? 0);
  return { ...problem, where: 'rule', line, column: col };
}

export function removeOwnRule(overlay: string, file: string, rule: string): string {
  const document = open(overlay);
  const list = ownList(document, file, RULES, []);
  list.items.splice(list.items.indexOf(named(list, rule)), 1);
  return write(document);
}
