// What stands around the pages: the range that all of them look at, and what the panel does without its gateway.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { answering, Bench, Late, standIn, visiting as visitingWith, within } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());
const visiting = (options, what, expected) => visitingWith(bench, options, what, expected);

const range = (page) => Object.fromEntries([...new URL(page.url()).searchParams].filter(([name]) => ['range', 'from', 'to'].includes(name)));
const nav = (page, name) => page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true });
/** Where a question about errors ends that begins at this moment; what the page asks again and again does not count. */
async function askedFrom(page, moment) {
  const request = await page.waitForRequest((one) => {
    const { pathname, searchParams } = new URL(one.url());
    return pathname === '/api/admin/errors' && Number(searchParams.get('from')) === moment;
  });
  return Number(new URL(request.url()).searchParams.get('to'));
}
/** Waits for the one that says this, in full. */
const saying = (locator, text) => locator.filter({ hasText: new RegExp(`^\\s*${text.replace('.', '\\.')}\\s*$`) }).waitFor();

describe('the range', () => {
  test('is one for all pages, and in their URLs', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await page.getByText('7 d', { exact: true }).click();
      await page.waitForURL(/range=7d/);
      await nav(page, 'Errors').click();
      await page.waitForURL(/errors\?range=7d/);
      await visit.settled();
      await page.getByRole('button', { name: 'Other' }).click();
      await page.getByRole('button', { name: 'Yesterday' }).click();
      await page.waitForURL(/errors\?range=yesterday/);
      await nav(page, 'Requests').click();
      await page.waitForURL(/requests\?range=yesterday/);
      await visit.settled();
      await page.getByRole('button', { name: 'Yesterday' }).waitFor();
      await nav(page, 'Rules').click();
      await page.waitForURL(/rules$/);
      await nav(page, 'Dashboard').click();
      await page.waitForURL(/range=yesterday/);
      // Everything is for the list of requests alone.
      await page.goto(`${bench.url}/admin/requests?range=7d`);
      await visit.settled();
      await page.getByRole('button', { name: 'Last 7 d' }).click();
      await page.getByRole('button', { name: 'All time' }).click();
      await page.waitForURL(/requests$/);
      await nav(page, 'Errors').click();
      await page.waitForURL(/errors\?range=7d/);
    }));

  test('knows the days of the reader’s zone', () =>
    visiting({ timezoneId: 'Asia/Kathmandu' }, async (visit, page) => {
      const midnight = await page.evaluate(() => new Date().setHours(0, 0, 0, 0));
      assert.equal(midnight % 3_600_000, 900_000);
      const [end] = await Promise.all([askedFrom(page, midnight - 86_400_000), visit.open('/errors?range=yesterday')]);
      assert.equal(end, midnight);
      await Promise.all([askedFrom(page, midnight), page.getByText('Today', { exact: true }).first().click()]);
    }));

  test('may be any, on every page', () =>
    visiting({}, async (visit, page) => {
      for (const path of ['/', '/errors', '/requests']) {
        await visit.open(path);
        await page.getByRole('button', { name: path === '/requests' ? 'All time' : 'Other' }).click();
        await page.getByLabel('From', { exact: true }).fill('2026-11-03T14:00');
        await page.getByLabel('To', { exact: true }).fill('2026-11-03T13:00');
        await page.getByText('The end must be after the beginning.').waitFor();
        assert.deepEqual(await visit.violations(), []);
        await page.getByLabel('To', { exact: true }).fill('2026-11-03T16:30');
        await page.getByRole('button', { name: 'Apply' }).click();
        await page.waitForURL(/range=custom/);
        const bounds = await page.evaluate(() => [new Date(2026, 10, 3, 14).getTime(), new Date(2026, 10, 3, 16, 30).getTime()]);
        assert.deepEqual(range(page), { range: 'custom', from: String(bounds[0]), to: String(bounds[1]) });
        await visit.settled();
        await page.getByRole('button', { name: /Nov 3, 14:00 – 16:30/ }).waitFor();
      }
    }));
});

describe('the charts', () => {
  const chart = (page, name) => page.locator('figure.chart').filter({ has: page.getByRole('img', { name }) });
  const over = (page) => chart(page, /^Requests over time/).locator('.u-over');

  test('zoom in where they are dragged over, and "back" undoes it', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/?range=24h');
      // What is above it may still push it down while the mouse is on its way.
      const isZoomed = () => page.waitForURL(/range=custom/, { timeout: 2_000 }).then(() => true, () => false);
      do {
        const { x, y, width, height } = await over(page).boundingBox();
        await page.mouse.move(x + width * 0.5, y + height / 2);
        await page.mouse.down();
        await page.mouse.move(x + width * 0.75, y + height / 2, { steps: 5 });
        await page.mouse.up();
      } while (!await isZoomed());
      const { from, to } = range(page);
      const hours = (Number(to) - Number(from)) / 3_600_000;
      assert(hours > 5 && hours < 7.5, `${hours} h`);
      assert.equal(Number(from) % 900_000, 0);
      await visit.settled();
      await page.goBack();
      await page.waitForURL(/range=24h/);
    }));

  test('lead to the requests of the moment that is clicked', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/?range=24h');
      const { width, height } = await over(page).boundingBox();
      await over(page).click({ position: { x: width * 0.6, y: height / 2 } });
      await page.waitForURL(/requests\?range=custom/);
      const { from, to } = range(page);
      assert.equal(Number(to) - Number(from), 900_000);
      await visit.settled();
      const { requests } = await visit.api(`requests?from=${from}&to=${to}&limit=500`);
      await page.getByText(`${requests.length} requests`, { exact: false }).first().waitFor();
    }));

  test('switch curves off and on in the legend, and remember it', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/?range=24h');
      const curve = chart(page, /^Tokens over time/).getByRole('img', { name: /Cache read/ });
      const entry = page.getByRole('button', { name: 'Cache read', exact: true });
      await curve.waitFor();
      await entry.click();
      await curve.waitFor({ state: 'detached' });
      await page.reload();
      await visit.settled();
      await page.locator('button[aria-pressed=false]').filter({ hasText: 'Cache read' }).waitFor();
      assert.equal(await curve.count(), 0);
      await entry.click();
      await curve.waitFor();
    }));
});

describe('the dashboard', () => {
  test('leads on from each tile, with its range', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/?range=7d');
      await page.locator('.tiles .tile').nth(8).waitFor();
      const targets = await page.locator('.tiles .tile').evaluateAll((tiles) => tiles.map((tile) => tile.querySelector('a')?.getAttribute('href')));
      assert(targets.every(Boolean), JSON.stringify(targets));
      const tile = page.locator('.tile').filter({ hasText: 'Success rate' }).first();
      await tile.click({ position: { x: 12, y: 60 } });
      await page.waitForURL(/errors\?range=7d/);
      await page.goBack();
      await visit.settled();
      await page.locator('.tile').filter({ hasText: 'Share' }).first().click();
      await page.waitForURL(/requests\?range=7d&upstream=/);
    }));

  test('shortens numbers with 万 or with K and M, as the reader likes', () =>
    visiting({ locale: 'zh-CN' }, async (visit, page) => {
      await answering(page, 'stats?*', (stats) => ({ ...stats, requests: 1_234_567 }));
      await visit.open('/?range=24h');
      const value = page.locator('.tiles .tile').first().locator('.value');
      await saying(value, '123万');
      await page.getByText('K、M', { exact: true }).click();
      await saying(value, '1.23M');
      await page.reload();
      await visit.settled();
      await saying(value, '1.23M');
    }));
});

describe('without its gateway', () => {
  const GONE = [/ERR_CONNECTION|ERR_FAILED|ERR_EMPTY|ERR_INCOMPLETE|ERR_SOCKET|status of 50/];
  const kept = (page) => page.evaluate(async () => {
    const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
    return all.flat().map((request) => new URL(request.url).pathname);
  });
  const LONGEST_WORK_MS = 20_000;
  const BROWSERS = 3;
  /** What a worker does, or a failure that tells its state. */
  async function byWorker(page, done) {
    const states = () => page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      return ['installing', 'waiting', 'active'].map((place) => `${place}: ${registration?.[place]?.state}`).join();
    });
    try {
      await within(LONGEST_WORK_MS, done, 'what the service worker does');
    } catch (error) {
      error.message += `; ${await within(1_000, states(), 'asking for its state').catch((late) => late.message)}`;
      throw error;
    }
  }
  /**
   * In another browser if one hangs. Pages have waited without end for a worker that took the place of another one, whatever they
   * did; the debugger that leads the browser holds each worker at its start, and may leave one there.
   */
  async function inBrowsers(what, count = BROWSERS) {
    try {
      await what();
    } catch (error) {
      if (!(error instanceof Late) || count === 1) throw error;
      console.error(error.message);
      await bench.relaunch();
      await inBrowsers(what, count - 1);
    }
  }
  const shellIsKept = (page) => byWorker(page, page.evaluate(() => navigator.serviceWorker.ready.then(() => true)));
  const WORDS = {
    'en-US': { down: 'The gateway does not answer', rules: 'Rules', dashboard: 'Dashboard', errors: 'Errors' },
    'zh-CN': { down: '网关没有响应', rules: '规则', dashboard: '总览', errors: '错误' },
  };

  for (const [locale, words] of Object.entries(WORDS)) {
    test(`it says so, leads on from what it kept, and comes back by itself (${locale})`, () => inBrowsers(async () => {
      const gateway = await standIn(bench);
      await visitingWith(gateway.bench, { locale, isNew: true }, async (visit, page) => {
        await visit.open('/errors');
        await shellIsKept(page);
        await gateway.stop();
        await page.getByRole('alert').filter({ hasText: words.down }).first().waitFor();
        // Pages that were never opened here.
        await page.getByRole('link', { name: words.rules, exact: true }).first().click();
        await page.getByRole('heading', { name: words.rules, level: 1 }).waitFor();
        await page.getByRole('alert').filter({ hasText: words.down }).first().waitFor();
        assert.deepEqual(await visit.violations(), []);
        // A fresh tab.
        const tab = await visit.context.newPage();
        await tab.goto(`${gateway.bench.url}/admin/errors?range=7d`);
        await tab.getByRole('heading', { name: words.errors, level: 1 }).waitFor();
        await tab.getByRole('alert').filter({ hasText: words.down }).first().waitFor();
        await visit.screenshot(`gateway-down-${locale}`);
        await gateway.back();
        await tab.locator('.cause').first().waitFor({ timeout: 45_000 });
        await tab.getByRole('alert').filter({ hasText: words.down }).first().waitFor({ state: 'detached' });
        await page.getByRole('heading', { name: words.rules, level: 1 }).waitFor();
        await page.getByRole('alert').filter({ hasText: words.down }).first().waitFor({ state: 'detached', timeout: 45_000 });
        await page.locator('.state[role=alert]').first().waitFor({ state: 'detached' });
      }, GONE);
      await gateway.stop();
    }));
  }

  test('it keeps nothing of anybody: after a log-out there is only the shell', () => inBrowsers(async () => {
    const gateway = await standIn(bench);
    await visitingWith(gateway.bench, { isNew: true }, async (visit, page) => {
      await visit.open('/');
      await shellIsKept(page);
      await visit.open('/requests');
      const paths = await kept(page);
      assert(paths.length > 20 && paths.every((path) => path === '/admin/' || path.startsWith('/admin/assets/')), paths.join());
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.waitForURL(/login/);
      await gateway.stop();
      await page.goto(`${gateway.bench.url}/admin/requests`);
      await page.getByRole('alert').filter({ hasText: 'The gateway does not answer' }).first().waitFor();
      assert.equal(await page.locator('[data-index]').count(), 0);
    }, GONE);
  }));

  test('another build replaces what was kept', () => inBrowsers(async () => {
    let suffix = '';
    const gateway = await standIn(bench, (incoming, outgoing) => {
      if (incoming.url !== '/admin/sw.js' || suffix === '') return false;
      fetch(`${bench.url}/admin/sw.js`).then((answer) => answer.text()).then((text) => {
        // The same files, and one that is asked for by another name.
        outgoing.writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'no-cache' });
        outgoing.end(text.replace('const FILES = [', `const FILES = ["assets/../${suffix}",`));
      });
      return true;
    });
    await visitingWith(gateway.bench, { isNew: true }, async (visit, page) => {
      await visit.open('/');
      await shellIsKept(page);
      const [before] = await page.evaluate(() => caches.keys());
      suffix = 'icon.svg';
      // What comes of it is waited for below.
      await page.evaluate(() => navigator.serviceWorker.getRegistration().then((registration) => { void registration.update(); }));
      // Its cache is there before it has filled it.
      await byWorker(page, page.waitForFunction(async (name) => {
        const { installing, waiting, active } = await navigator.serviceWorker.getRegistration();
        return !installing && !waiting && active.state === 'activated' && (await caches.keys()).some((one) => one !== name);
      }, before));
      await page.reload();
      await visit.settled();
      await gateway.stop();
      await byWorker(page, page.goto(`${gateway.bench.url}/admin/rules`));
      await page.getByRole('heading', { name: 'Rules', level: 1 }).waitFor();
    }, GONE);
  }));
});

describe('a link', () => {
  for (const [path, sees] of [['/errors?range=7d#main', /errors\?range=7d#main$/], ['/requests?range=today&outcome=stalled&q=a%26b', /requests\?range=today&outcome=stalled&q=a%26b$/]]) {
    test(`survives the login: ${path}`, () =>
      visiting({ isSignedIn: false }, async (visit, page) => {
        await page.goto(`${bench.url}/admin${path}`);
        await page.waitForURL(/login\?to=/);
        await page.getByLabel('Key or token', { exact: true }).fill(bench.key);
        await page.getByRole('button', { name: 'Sign in', exact: true }).click();
        await page.waitForURL(sees);
        await visit.settled();
      }, [/401/]));
  }
});
