/** Writes sw.js with the names of all files of this build: another build is another worker, which keeps what belongs together. */

import { readFile } from 'node:fs/promises';

import type { Plugin } from 'vite';

const SOURCE = new URL('sw.js', import.meta.url);

export function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    async generateBundle(_, bundle) {
      const files = Object.keys(bundle).filter((name) => name.startsWith('assets/')).sort();
      const source = (await readFile(SOURCE, 'utf8')).replace('const FILES = [];', `const FILES = ${JSON.stringify(files)};`);
      this.emitFile({ type: 'asset', fileName: 'sw.js', source });
    },
  };
}
