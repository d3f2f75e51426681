// Measures what a first visit loads: index.html's own files, the dashboard's chunk with all it imports, and one language.
import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const LIMIT_KB = 160;
const dist = new URL('../node_modules/.cache/size/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));

function filesOf(name, seen = new Set()) {
  const chunk = manifest[name];
  if (seen.has(name)) return [];
  seen.add(name);
  return [chunk.file, ...(chunk.css ?? []), ...(chunk.imports ?? []).flatMap((inner) => filesOf(inner, seen))];
}
function sizeOf(files) {
  const texts = [...new Set(files)].map((file) => readFileSync(new URL(file, dist)));
  const sum = (compress) => texts.reduce((all, text) => all + compress(text).length, 0) / 1000;
  return { files: texts.length, raw: sum((text) => text), gzip: sum(gzipSync), brotli: sum(brotliCompressSync) };
}
function print(name, { files, raw, gzip, brotli }) {
  console.log(`${name.padEnd(30)} ${String(files).padStart(2)} files  ${raw.toFixed(1).padStart(7)} kB  gzip ${gzip.toFixed(1).padStart(6)} kB  brotli ${brotli.toFixed(1).padStart(6)} kB`);
}

const shell = filesOf('index.html');
const dashboard = 'src/pages/dashboard/DashboardPage.vue';
const first = sizeOf([...shell, ...filesOf(dashboard), ...filesOf('src/i18n/zh/index.ts')]);
print('first load (dashboard)', first);
for (const name of Object.keys(manifest).filter((name) => manifest[name].isDynamicEntry && name !== dashboard)) {
  print(name.replace('src/', ''), sizeOf(filesOf(name).filter((file) => !shell.includes(file))));
}
if (first.gzip > LIMIT_KB) {
  console.error(`The first load is larger than ${LIMIT_KB} kB.`);
  process.exit(1);
}
