// README's pictures of the panel: node pictures.mjs FOLDER, with PANEL_URL and PANEL_KEY. `make pictures` starts it.

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { Bench } from './harness.mjs';
import { PICTURES, openScene } from './scenes.mjs';

const [folder] = process.argv.slice(2);
const LARGEST = 150_000;

/** Where it is between five and six in the afternoon: the made-up days end then. */
function afternoon() {
  const ahead = ((17 - new Date().getUTCHours() + 36) % 24) - 12;
  return `Etc/GMT${ahead > 0 ? '-' : '+'}${Math.abs(ahead)}`;
}

const bench = await Bench.start();
try {
  for (const picture of PICTURES) {
    const visit = await openScene(bench, picture, { scale: 1.5, timezoneId: afternoon() });
    // What comes in live has to arrive, and what moves to come to rest.
    await visit.page.waitForTimeout(2500);
    const path = join(folder, picture.file);
    await visit.page.screenshot({ path });
    // As small as a picture of a few hundred colours can be.
    execFileSync('pngquant', ['--force', '--ext', '.png', '--quality', '80-98', '--speed', '1', '--strip', path]);
    const { size } = statSync(path);
    if (visit.faults.length > 0 || size > LARGEST) throw new Error(`${picture.file}: ${size} bytes; ${visit.faults.join('; ')}`);
    console.log(`${picture.file}: ${size.toLocaleString('en')} bytes`);
    await visit.close();
  }
} finally {
  await bench.stop();
}
