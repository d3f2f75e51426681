/** Writes a brotli form beside each text file of the build: the gateway sends it to clients that take it. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

import type { Plugin } from 'vite';

const TEXTS = /\.(js|css|html|svg|webmanifest)$/;
/** Below this nothing is gained. */
const LEAST_BYTES = 512;

export function precompress(): Plugin {
  let folder = '';
  return {
    name: 'precompress',
    apply: 'build',
    configResolved: (config) => {
      folder = config.build.outDir;
    },
    closeBundle: async () => {
      const names = (await readdir(folder, { recursive: true })).filter((name) => TEXTS.test(name));
      await Promise.all(
        names.map(async (name) => {
          const contents = await readFile(join(folder, name));
          if (contents.length < LEAST_BYTES) return;
          const options = { params: { [constants.BROTLI_PARAM_SIZE_HINT]: contents.length } };
          await writeFile(join(folder, `${name}.br`), brotliCompressSync(contents, options));
        }),
      );
    },
  };
}
