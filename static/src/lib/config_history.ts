/** The saved versions of the configuration, as people tell them apart: which is in force, and what each one changed. Pure. */

import { parse } from 'yaml';

import type { ConfigVersion } from '@/api/types';

import { listChanges, type ListChange } from './lists';
import { LISTS } from './list_settings';

export interface SettingChange {
  key: string;
  /** `null` where the overlay had, or has, none. */
  before: string | null;
  after: string | null;
}

export interface ToldVersion {
  /** Its place in the list: texts that were saved twice have the same version. */
  id: string;
  version: ConfigVersion;
  isInForce: boolean;
  /** `null` for the oldest one, whose predecessor is not kept. */
  changes: { settings: SettingChange[]; lists: ListChange[]; isHeaders: boolean } | null;
}

/** `versions` are the newest first; `inForce` is the version of the configuration that counts. */
export function tellVersions(versions: readonly ConfigVersion[], inForce: string, file: string): ToldVersion[] {
  const present = versions.findIndex(({ version }) => version === inForce);
  return versions.map((version, index) => {
    const before = versions[index + 1];
    return {
      id: `${version.version}-${version.saved_at_ms}-${index}`,
      version,
      isInForce: index === present,
      changes: before ? changesOf(before, version, file) : null,
    };
  });
}

function changesOf(before: ConfigVersion, after: ConfigVersion, file: string): ToldVersion['changes'] {
  const [old, fresh] = [valuesOf(before.overlay), valuesOf(after.overlay)];
  const settings: SettingChange[] = [];
  for (const key of new Set([...old.keys(), ...fresh.keys()])) {
    const [from, to] = [old.get(key) ?? null, fresh.get(key) ?? null];
    if (from !== to) settings.push({ key, before: from, after: to });
  }
  return { settings, lists: listChanges(before.overlay, after.overlay, file), isHeaders: before.headers !== after.headers };
}

/** The values of an overlay by their keys, without those of the lists that are told by the names of their entries. */
function valuesOf(overlay: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (LISTS.some((list) => path === `gateway.${list}`)) return;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [name, inner] of Object.entries(value)) walk(inner, path === '' ? name : `${path}.${name}`);
    } else if (path !== '') {
      const isPlain = Array.isArray(value) && value.every((item) => typeof item !== 'object');
      found.set(path, isPlain ? value.join(', ') : Array.isArray(value) ? JSON.stringify(value) : String(value ?? ''));
    }
  };
  try {
    walk(parse(overlay), '');
  } catch {
    // What was saved could be read once; a version of the gateway may read more than the panel does.
  }
  return found;
}

const LONGEST = 32;
/** Whether a value can stand in a line: no secret, and no long text. */
export function isShort(value: string | null): boolean {
  return value === null || (value.length <= LONGEST && !value.includes('\n') && !value.includes('********') && !/^[[{]/.test(value));
}
