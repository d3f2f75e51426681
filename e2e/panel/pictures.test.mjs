// README's pictures: what they show is still there, and they are those that `make pictures` takes.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { Bench } from './harness.mjs';
import { LOCALES, PICTURES, openScene } from './scenes.mjs';

const root = new URL('../../', import.meta.url);
let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

for (const picture of PICTURES) {
  test(`${picture.file} shows what the panel has`, async () => {
    const visit = await openScene(bench, picture);
    assert.deepEqual(visit.faults, []);
    await visit.close();
  });
}

test('each README has the pictures of its language, and there are no others', () => {
  const images = new URL('docs/images/', root);
  assert.deepEqual(readdirSync(images).filter((name) => name.endsWith('.png')).toSorted(), PICTURES.map(({ file }) => file).toSorted());
  for (const language of Object.keys(LOCALES)) {
    const text = readFileSync(new URL(language === 'zh' ? 'README.zh-CN.md' : 'README.md', root), 'utf8');
    const named = new Set([...text.matchAll(/docs\/images\/([\w-]+\.png)/g)].map((found) => found[1]));
    assert.deepEqual([...named].toSorted(), PICTURES.map(({ file }) => file).filter((file) => file.includes(`-${language}`)).toSorted());
  }
  for (const { file } of PICTURES) assert(statSync(new URL(file, images)).size < 150_000, file);
});
