/**
 * An upstream as a form holds it, and its entry in the overlay. What the form does not know stays in the entry, comments too; only
 * what was changed in the form is written.
 */

import { isMap, isScalar, isSeq, type Document, type Node, type YAMLMap, type YAMLSeq } from 'yaml';

import { DEFAULT_UPSTREAMS, named, nameOf, open, ownList, UPSTREAMS, write } from './overlay';
import { OverlayFault } from './overlay_fault';
import { isKeyLost, keysIn, putKeys, type KeyEntry } from './upstream_keys';

const MASK = '********';

/** Values of one line, with their place in the entry. */
export const SCALARS = {
  name: ['name'], url: ['base_url'], profile: ['profile'], proxy: ['proxy'], priority: ['priority'], weight: ['weight'], most: ['max_in_flight'],
  costFactor: ['cost_factor'], http: ['http'], preserveHost: ['preserve_host'], sni: ['sni'], insecure: ['insecure'], probe: ['probe'],
  connectTimeout: ['connect_timeout'], readTimeout: ['read_timeout'], firstByteTimeout: ['first_byte_timeout'], firstEventTimeout: ['first_event_timeout'],
  thinking: ['thinking_controls'], testEvery: ['test', 'every'], testModel: ['test', 'model'], testKey: ['test', 'key'],
  balanceKind: ['balance', 'kind'], balanceInterval: ['balance', 'interval'], balanceRestBelow: ['balance', 'rest_below'],
} as const satisfies Record<string, readonly string[]>;
export type ScalarField = keyof typeof SCALARS;
const LISTS = { lines: ['lines'], longContext: ['long_context'] } as const;
type ListField = keyof typeof LISTS;

/** Empty texts are what is not set; a list is one text, a line for each item. */
export type UpstreamForm = Record<ScalarField | ListField, string> & { enabled: boolean; keys: KeyEntry[] };

const SCALAR_FIELDS = Object.keys(SCALARS) as ScalarField[];
const LIST_FIELDS = Object.keys(LISTS) as ListField[];
const NUMBERS: readonly string[] = ['priority', 'weight', 'max_in_flight', 'cost_factor', 'http', 'rest_below'];

export function emptyUpstream(): UpstreamForm {
  const texts = Object.fromEntries([...SCALAR_FIELDS, ...LIST_FIELDS].map((field) => [field, '']));
  return { ...texts, enabled: true, keys: [] } as unknown as UpstreamForm;
}

function text(node: unknown): string {
  if (!isScalar(node) || node.value === null) return '';
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

function items(value: string): string[] {
  return value.split(/[\n,]/).map((line) => line.trim()).filter((line) => line !== '');
}

function formOf(entry: YAMLMap): UpstreamForm {
  const form = emptyUpstream();
  for (const field of SCALAR_FIELDS) form[field] = text(entry.getIn(SCALARS[field], true));
  for (const field of LIST_FIELDS) {
    const list = entry.get(LISTS[field][0], true);
    form[field] = isSeq(list) ? list.items.map(text).join('\n') : items(text(list)).join('\n');
  }
  form.enabled = !['false', 'off', 'no', '0'].includes(text(entry.get('enabled', true)).toLowerCase());
  form.keys = keysIn(entry);
  if (form.name === '') form.name = String(nameOf(entry));
  return form;
}

function listIn(document: Document, file: string): YAMLSeq<Node> {
  return ownList(document, file, UPSTREAMS, DEFAULT_UPSTREAMS);
}

/** What the entry of this name says. */
export function readUpstream(overlay: string, file: string, name: string): UpstreamForm {
  return formOf(named(listIn(open(overlay), file), name));
}

/** The upstreams that the configuration has, in the order of its list; those that are off too. */
export function upstreamsIn(overlay: string, file: string): { name: string; priority: number; enabled: boolean }[] {
  return listIn(open(overlay), file).items.filter((item) => isMap(item)).map((item) => {
    const { name, priority, enabled } = formOf(item);
    return { name, priority: Number(priority) || 0, enabled };
  });
}

/** What the form of a copy begins with: another name, and the keys that can be copied. Masked ones stand for no secret there. */
export function copyOf(form: UpstreamForm, taken: readonly string[]): UpstreamForm {
  let name = `${form.name}-2`;
  for (let count = 3; taken.includes(name); count += 1) name = `${form.name}-${count}`;
  const keys = form.keys.filter(({ key }) => !key.includes(MASK)).map((key): KeyEntry => ({ ...key, from: null }));
  return { ...form, name, keys };
}

/** What would be lost without a word, as the gateway finds a masked value again by the name of its upstream. */
export function lostSecrets(before: UpstreamForm | null, form: UpstreamForm): ScalarField[] {
  const isOther = before === null || before.name !== form.name.trim();
  return SCALAR_FIELDS.filter((field) => isOther && form[field].includes(MASK));
}

export function areKeysLost(before: UpstreamForm | null, form: UpstreamForm): boolean[] {
  const isOther = before === null || before.name !== form.name.trim();
  return form.keys.map((key, at) => isKeyLost(key, at, before?.keys ?? []) || (isOther && key.key.includes(MASK)));
}

function set(document: Document, entry: YAMLMap, path: readonly string[], value: string): void {
  const node = entry.getIn(path, true);
  if (value === '') {
    if (entry.hasIn(path)) entry.deleteIn(path);
    const above = entry.get(path[0], true);
    if (path.length > 1 && isMap(above) && above.items.length === 0) entry.delete(path[0]);
    return;
  }
  const key = path.at(-1) ?? '';
  const plain = NUMBERS.includes(key) && /^(0|[1-9]\d{0,8})(\.\d{1,9})?$/.test(value) ? Number(value) : value === 'true' || value === 'false' ? value === 'true' : value;
  if (isScalar(node)) {
    // In its place, with its comment.
    const fresh = document.createNode(plain) as { type?: string };
    if (node.type === 'PLAIN' && fresh.type !== undefined) delete node.type;
    node.value = plain;
    delete node.source;
    delete node.format;
    delete node.minFractionDigits;
    return;
  }
  if (path.length > 1 && !isMap(entry.get(path[0], true))) entry.set(path[0], document.createNode({}));
  entry.setIn(path, document.createNode(plain));
}

function setList(document: Document, entry: YAMLMap, key: string, values: readonly string[]): void {
  if (values.length === 0) {
    entry.delete(key);
    return;
  }
  const list = entry.get(key, true);
  if (!isSeq(list)) {
    entry.set(key, document.createNode([...values], { flow: true }));
    return;
  }
  const left = [...list.items];
  list.items = values.map((value) => {
    const at = left.findIndex((item) => text(item) === value);
    return at < 0 ? document.createNode(value) : left.splice(at, 1)[0];
  });
}

/** Puts into an entry what `form` says otherwise than `before`. */
function change(document: Document, entry: YAMLMap, before: UpstreamForm, form: UpstreamForm): void {
  for (const field of SCALAR_FIELDS) {
    const [old, fresh] = [before[field], form[field].trim()];
    if (old !== fresh) set(document, entry, SCALARS[field], fresh);
  }
  for (const field of LIST_FIELDS) {
    if (items(before[field]).join() !== items(form[field]).join()) setList(document, entry, LISTS[field][0], items(form[field]));
  }
  if (before.enabled !== form.enabled) setEnabled(document, entry, form.enabled);
  if (JSON.stringify(before.keys) !== JSON.stringify(form.keys)) putKeys(document, entry, form.keys);
}

function setEnabled(document: Document, entry: YAMLMap, isEnabled: boolean): void {
  if (isEnabled) {
    entry.delete('enabled');
    return;
  }
  if (entry.has('enabled')) {
    entry.set('enabled', false);
    return;
  }
  const at = entry.items.findIndex(({ key }) => text(key) === 'name');
  entry.items.splice(at + 1, 0, document.createPair('enabled', false));
}

/** The overlay with this upstream as the form has it. `name` is the entry that it was, `null` for a new one. */
export function putUpstream(overlay: string, file: string, name: string | null, form: UpstreamForm, copied: string | null = null): string {
  const document = open(overlay);
  const list = listIn(document, file);
  if (name !== null) {
    const entry = named(list, name);
    const before = formOf(entry);
    if (lostSecrets(before, form).length > 0 || areKeysLost(before, form).includes(true)) throw new OverlayFault('keyAgain');
    change(document, entry, before, form);
    return write(document);
  }
  if (lostSecrets(null, form).length > 0 || areKeysLost(null, form).includes(true)) throw new OverlayFault('keyAgain');
  const entry = newEntry(document, list, form, copied);
  list.flow = false;
  const at = copied === null ? list.items.length : list.items.indexOf(named(list, copied)) + 1;
  list.items.splice(at, 0, entry);
  return write(document);
}

function newEntry(document: Document, list: YAMLSeq<Node>, form: UpstreamForm, copied: string | null): YAMLMap {
  if (copied === null) {
    const entry = document.createNode({ name: form.name.trim(), base_url: form.url.trim() }) as YAMLMap;
    change(document, entry, formOf(entry), form);
    return entry;
  }
  const entry = named(list, copied).clone() as YAMLMap;
  delete entry.commentBefore;
  delete entry.spaceBefore;
  if (!entry.has('name')) entry.items.unshift(document.createPair('name', ''));
  // The copy's keys are written anew.
  for (const key of ['api_key', 'api_keys']) entry.delete(key);
  change(document, entry, { ...formOf(entry), keys: [] }, form);
  return entry;
}

export function removeUpstream(overlay: string, file: string, name: string): string {
  const document = open(overlay);
  const list = listIn(document, file);
  list.items.splice(list.items.indexOf(named(list, name)), 1);
  return write(document);
}

export function switchUpstream(overlay: string, file: string, name: string, isEnabled: boolean): string {
  const document = open(overlay);
  setEnabled(document, named(listIn(document, file), name), isEnabled);
  return write(document);
}

/** Where an upstream stands: with the one before it, or after it, as the one that takes over. */
export interface Place {
  name: string;
  isWithFormer: boolean;
}

/** The order in which requests go to upstreams. */
export function placesIn(overlay: string, file: string): Place[] {
  const sorted = upstreamsIn(overlay, file).sort((one, other) => one.priority - other.priority);
  return sorted.map(({ name, priority }, at) => ({ name, isWithFormer: at > 0 && sorted[at - 1]?.priority === priority }));
}

/** The overlay whose upstreams stand so. Priorities that say the same already stay as they are. */
export function orderUpstreams(overlay: string, file: string, places: readonly Place[]): string {
  const document = open(overlay);
  const list = listIn(document, file);
  const entries = places.map(({ name }) => named(list, name));
  const priorities = entries.map((entry) => Number(formOf(entry).priority) || 0);
  const fits = places.every(({ isWithFormer }, at) => {
    const [before = 0, own = 0] = [priorities[at - 1], priorities[at]];
    return at === 0 || (isWithFormer ? own === before : own > before);
  });
  if (!fits) {
    let priority = 0;
    for (const [at, { isWithFormer }] of places.entries()) {
      if (at > 0 && !isWithFormer) priority += 1;
      const entry = entries[at];
      if (entry && priorities[at] !== priority) set(document, entry, SCALARS.priority, priority === 0 && !entry.has('priority') ? '' : String(priority));
    }
  }
  const others = list.items.filter((item) => !entries.includes(item as YAMLMap));
  list.items = [...entries, ...others];
  return write(document);
}

/** What is wrong with the form, by field: codes of words. */
export function faultsOf(form: UpstreamForm, taken: readonly string[]): Partial<Record<ScalarField | ListField, 'missing' | 'taken' | 'url' | 'whole' | 'number' | 'duration' | 'both'>> {
  const name = form.name.trim();
  const faults: ReturnType<typeof faultsOf> = {};
  if (name === '') faults.name = 'missing';
  else if (taken.includes(name)) faults.name = 'taken';
  const url = form.url.trim();
  if (!URL.canParse(url) || !/^https?:\/\//i.test(url)) faults.url = 'url';
  for (const field of ['priority', 'weight', 'most'] as const) if (!/^\d*$/.test(form[field].trim())) faults[field] = 'whole';
  for (const field of ['costFactor', 'balanceRestBelow'] as const) if (!/^(\d+(\.\d+)?)?$/.test(form[field].trim())) faults[field] = 'number';
  for (const field of ['connectTimeout', 'readTimeout', 'firstByteTimeout', 'firstEventTimeout', 'testEvery', 'balanceInterval'] as const) {
    if (!/^(\d+(ms|s|m|h|d) ?)*$/.test(form[field].trim())) faults[field] = 'duration';
  }
  if ((form.testEvery.trim() === '') !== (form.testModel.trim() === '')) faults[form.testEvery.trim() === '' ? 'testEvery' : 'testModel'] = 'both';
  return faults;
}

/** The overlay with a list of the upstreams that there are, such as those of a variable. */
export function adoptUpstreams(overlay: string, upstreams: readonly { name: string; url: string; profile: string; priority: number }[]): string {
  const document = open(overlay);
  const entries = upstreams.map(({ name, url, profile, priority }) => ({ name, base_url: url, profile, ...(priority === 0 ? {} : { priority }) }));
  document.setIn(UPSTREAMS, document.createNode(entries));
  return write(document);
}
