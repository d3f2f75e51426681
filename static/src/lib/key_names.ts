/** Edits of `gateway.key_names` in the overlay, whose names count instead of the file's as soon as it has some. */

import { isMap, parseDocument, type YAMLMap } from 'yaml';

import { open, write } from './overlay';
import { OverlayFault } from './overlay_fault';

const AT = ['gateway', 'key_names'];

/** The overlay with another name for this key, or with none. The file's names are copied first, so that none is lost. */
export function setKeyName(overlay: string, file: string, fingerprint: string, name: string): string {
  const document = open(overlay);
  if (!isMap(document.getIn(AT, true))) {
    const inFile = parseDocument(file).getIn(AT, true);
    const gateway = document.get('gateway', true);
    if (!isMap(gateway)) document.set('gateway', document.createNode({}));
    document.setIn(AT, isMap(inFile) ? inFile.clone() : document.createNode({}));
  }
  const names = document.getIn(AT, true);
  if (!isMap(names)) throw new OverlayFault('noList', AT.join('.'));
  names.flow = false;
  // Beginnings of this fingerprint would name it too.
  const mine = beginningsOf(names, fingerprint);
  if (name === '') for (const key of mine) names.delete(key);
  else {
    const longest = mine.sort((a, b) => String(b).length - String(a).length)[0] ?? fingerprint;
    names.set(longest, name);
  }
  if (names.items.length === 0 && !isMap(parseDocument(file).getIn(AT, true))) document.deleteIn(AT);
  const gateway = document.get('gateway', true);
  if (isMap(gateway) && gateway.items.length === 0) document.delete('gateway');
  return write(document);
}

/** The keys of the mapping as they stand there; digits alone may have been read as a number. */
function beginningsOf(names: YAMLMap, fingerprint: string): unknown[] {
  return names.items
    .map(({ key }) => key as { value?: unknown; source?: string })
    .filter((key) => fingerprint.startsWith(String(key.source ?? key.value).toLowerCase()))
    .map((key) => key.value);
}
