/** What the keys of clients are called: asked for once, for the whole panel, and again when the configuration changes. */

import { onScopeDispose, shallowRef } from 'vue';

import { api } from '@/api/api';
import { onLive } from '@/api/live';
import { nameOfKey, shortKey } from '@/lib/key_text';

const names = shallowRef<Readonly<Record<string, string>>>({});
let users = 0;
let stop: (() => void) | undefined;

async function load(): Promise<void> {
  // Without an answer the keys have their fingerprints.
  const answer = await api.keyNames().catch(() => null);
  if (answer) names.value = answer.names;
}

export function useKeyNames() {
  users += 1;
  if (users === 1) {
    void load();
    stop = onLive('config', () => void load());
  }
  onScopeDispose(() => {
    users -= 1;
    if (users === 0) stop?.();
  });
  return {
    /** `null` for one without a name. */
    nameOf: (fingerprint: string): string | null => nameOfKey(names.value, fingerprint),
    /** The name, else the beginning of the fingerprint. */
    textOf: (fingerprint: string): string => nameOfKey(names.value, fingerprint) ?? shortKey(fingerprint),
    reload: load,
  };
}
