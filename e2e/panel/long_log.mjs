// How the panel does with a long log: what each question of each page takes, and how the list scrolls when all its rows are
// there. `make panel-bench`; or by hand: node long_log.mjs BINARIES [ROWS], the folder with anyrouter-gateway and examples/.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Bench, freePort } from './harness.mjs';

const [binaries, rows = '100000'] = process.argv.slice(2);
const wanted = Number(rows);
const key = 'a key for this run';
const folder = mkdtempSync(join(tmpdir(), 'panel-bench-'));
execFileSync(join(binaries, 'examples', 'fill_log'), [join(folder, 'past.db'), rows, '30'], { stdio: 'inherit' });
const [port, admin] = [await freePort(), await freePort()];
const gateway = spawn(join(binaries, 'anyrouter-gateway'), [], {
  cwd: folder, stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    PATH: process.env.PATH, LISTEN: `127.0.0.1:${port}`, ADMIN_LISTEN: `127.0.0.1:${admin}`, GATEWAY_DB: 'past.db', DASHBOARD_API_KEY: key,
    RUST_LOG: 'warn',
  },
});
process.on('exit', () => {
  gateway.kill();
  rmSync(folder, { recursive: true, force: true });
});
const url = `http://127.0.0.1:${port}`;
for (let attempt = 0; ; attempt += 1) {
  if (await fetch(`${url}/health`).then((answer) => answer.ok, () => false)) break;
  if (attempt > 100) throw new Error('the gateway does not answer');
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const PAGES = {
  'dashboard, 24 h': '/?range=24h',
  'dashboard, 30 days': '/?range=30d',
  requests: '/requests',
  'requests that failed': '/requests?outcome=upstream_error',
  'requests with a text': '/requests?q=nowhere',
  'errors, 30 days': '/errors?range=30d',
};

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
const line = (name, times) => {
  const sorted = [...times].sort((a, b) => a - b);
  const [median, p99, most] = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1)].map((time) => `${time.toFixed(1)} ms`);
  console.log(`${name.padEnd(36)} ${String(times.length).padStart(6)}  median ${median}  p99 ${p99}  slowest ${most}`);
};

const bench = await Bench.start({ url, key });
const visit = await bench.visit({ isNew: true });
const { page } = visit;
/** Times from a question to the end of its answer, by what was asked. */
let asked = new Map();
page.on('requestfinished', (request) => {
  const path = new URL(request.url()).pathname;
  if (!path.startsWith('/api/admin/') || path.endsWith('/live')) return;
  const { requestStart, responseEnd } = request.timing();
  const name = path.slice('/api/admin/'.length);
  asked.set(name, [...(asked.get(name) ?? []), responseEnd - requestStart]);
});
for (const [name, path] of Object.entries(PAGES)) {
  asked = new Map();
  for (let look = 0; look < 5; look += 1) await visit.open(path);
  for (const [what, times] of asked) if (/stats|requests|errors/.test(what)) line(`${name}: ${what}`, times);
}

asked = new Map();
await visit.open('/requests');
await page.getByRole('button', { name: 'Pause' }).click();
const loaded = await page.locator('.scroller').evaluate(async (element, rows) => {
  const times = [];
  const height = element.querySelector('[data-index]').offsetHeight;
  let last = performance.now();
  let idle = 0;
  while (element.querySelector('.canvas').offsetHeight / height < rows && idle < 600) {
    const before = element.scrollHeight;
    element.scrollTop = element.scrollHeight;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
    idle = element.scrollHeight === before ? idle + 1 : 0;
  }
  return { times, rows: element.querySelector('.canvas').offsetHeight / height, nodes: element.querySelectorAll('[data-index]').length };
}, wanted);
console.log(`${loaded.rows} rows in the list, ${loaded.nodes} of them in the document`);
line('frames while all rows are loaded', loaded.times);
for (const [what, times] of asked) line(`meanwhile: ${what}`, times);
for (const step of [60, 600, 60_000]) {
  const times = await page.locator('.scroller').evaluate(async (element, pixels) => {
    element.scrollTop = pixels < 10_000 ? element.scrollHeight / 2 : 0;
    const frames = [];
    let last = performance.now();
    for (let frame = 0; frame < 240; frame += 1) {
      element.scrollTop = (element.scrollTop + pixels) % element.scrollHeight;
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      if (frame > 2) frames.push(now - last);
      last = now;
    }
    return frames;
  }, step);
  line(`frames, ${step} px each`, times);
}
const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
console.log(`${(heap / 1e6).toFixed(0)} MB of script memory`);
await visit.close();
await bench.stop();
process.exit();
