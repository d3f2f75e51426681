/** The keys of an upstream in the configuration: `api_keys`, or the one `api_key`. The gateway masks what they are. */

import { isMap, isSeq, type Document, type Node, type YAMLMap } from 'yaml';

import { DEFAULT_UPSTREAMS, named, open, ownList, UPSTREAMS, write } from './overlay';
import { OverlayFault } from './overlay_fault';

const MASK = '********';

/** An entry as a form holds it. Empty texts are what is not set. */
export interface KeyEntry {
  /** Which entry of the configuration it was; `null` for one that is new, `only` for the `api_key`. */
  from: number | 'only' | null;
  key: string;
  name: string;
  weight: string;
  max_in_flight: string;
  enabled: boolean;
}

export function newKey(): KeyEntry {
  return { from: null, key: '', name: '', weight: '', max_in_flight: '', enabled: true };
}

function entryOf(document: Document, file: string, upstream: string): YAMLMap {
  return named(ownList(document, file, UPSTREAMS, DEFAULT_UPSTREAMS), upstream);
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** The keys that count. */
export function keysOf(overlay: string, file: string, upstream: string): KeyEntry[] {
  return keysIn(entryOf(open(overlay), file, upstream));
}

/** The keys of an entry. */
export function keysIn(entry: YAMLMap): KeyEntry[] {
  const list = entry.get('api_keys');
  if (isSeq(list)) {
    return list.items.filter(isMap).map((item, index) => ({
      from: index, key: text(item.get('key')), name: text(item.get('name')), weight: text(item.get('weight')),
      max_in_flight: text(item.get('max_in_flight')), enabled: item.get('enabled') !== false,
    }));
  }
  const only = text(entry.get('api_key'));
  return only === '' ? [] : [{ ...newKey(), from: 'only', key: only }];
}

/**
 * Whether the key has to be written out again. A mask stands for the secret of the entry of this name, or at this place if it has
 * no name: under another it would stand for none, or for a neighbour's.
 */
export function isKeyLost({ from, key, name }: KeyEntry, at: number, before: readonly KeyEntry[]): boolean {
  if (!key.startsWith(MASK)) return false;
  const was = before.find((one) => one.from === from);
  return was === undefined || from === 'only' || was.name !== name.trim() || (was.name === '' && from !== at);
}

/** The overlay with these keys of the upstream. What else is said of an entry stays. */
export function setKeys(overlay: string, file: string, upstream: string, keys: readonly KeyEntry[]): string {
  const document = open(overlay);
  const before = keysOf(overlay, file, upstream);
  if (keys.some((key, at) => isKeyLost(key, at, before))) throw new OverlayFault('keyAgain');
  putKeys(document, entryOf(document, file, upstream), keys);
  return write(document);
}

/** Puts these keys into an entry. */
export function putKeys(document: Document, entry: YAMLMap, keys: readonly KeyEntry[]): void {
  const list = entry.get('api_keys');
  const old = isSeq(list) ? list.items.filter(isMap) : [];
  entry.delete('api_key');
  if (keys.length === 0) {
    entry.delete('api_keys');
    return;
  }
  const items = keys.map((key) => withKey(document, (typeof key.from === 'number' && old[key.from]) || (document.createNode({}) as YAMLMap), key));
  if (isSeq(list)) list.items = items;
  else {
    const fresh = document.createNode([]) as { items: Node[] };
    fresh.items = items;
    entry.set('api_keys', fresh);
  }
}

function withKey(document: Document, item: YAMLMap, { key, name, weight, max_in_flight: most, enabled }: KeyEntry): YAMLMap {
  const number = (value: string): number | undefined => (value.trim() === '' ? undefined : Number(value));
  const wanted = { key: key.trim(), name: name.trim() || undefined, weight: number(weight), max_in_flight: number(most), enabled: enabled ? undefined : false };
  for (const [field, value] of Object.entries(wanted)) {
    if (value === undefined) {
      // `enabled: true` may be written out.
      if (field !== 'enabled' || item.get(field) === false) item.delete(field);
    } else if (item.get(field) !== value) item.set(field, document.createNode(value));
  }
  return item;
}
