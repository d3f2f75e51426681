// A relay's pages have the panel's origin, because everything that is not the gateway's own is proxied on its port: what
// such a page may do with the operator's cookie in the browser is nothing at all.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { chromium } from 'playwright-core';

import { Bench, FLAGS, IS_MOCK } from './harness.mjs';

/** What a hostile page tries; it tells the relay of each success at `/told?WHAT`. */
const script = `
  const tell = (what) => navigator.sendBeacon('/told?' + encodeURIComponent(what));
  tell('script');
  fetch('/api/admin/config', { credentials: 'include' }).then(async (answer) => tell('config ' + answer.status), () => {});
  navigator.serviceWorker?.register('/sw.js', { scope: '/' }).then(() => tell('worker'), () => {});
  try { const panel = open('/admin'); setTimeout(() => { if (panel?.document?.body) tell('panel'); }, 500); } catch {}
  document.forms[0]?.submit();
`;
const page = `<!doctype html><title>a relay</title><h1>Welcome</h1><img src="/told?image" alt="">
  <form method="post" action="/told?form"><input name="key" value="1"><button>Sign in</button></form><script>${script}</script>`;
const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>${script}</script></svg>`;

/** Cookies that hide the panel's, and make its requests larger than any head may be. */
const heavy = [
  ...Array.from({ length: 17 }, (_, number) => `heavy${number}=${'x'.repeat(4000)}; Path=/api/admin`),
  ...Array.from({ length: 4 }, (_, number) => `gateway_session=9999999999.x.y; Path=/api/admin${'/config'.repeat(number % 2)}`),
  'everywhere=1; Path=/',
];

/** A relay that notes what its pages tell, and a site of its own beside the gateway. */
class Relay {
  static async start() {
    const relay = new Relay();
    relay.told = [];
    relay.asked = [];
    relay.server = createServer((request, response) => relay.answer(request, response));
    await new Promise((resolve) => relay.server.listen(0, '127.0.0.1', resolve));
    relay.url = `http://127.0.0.1:${relay.server.address().port}`;
    return relay;
  }

  answer(request, response) {
    const { pathname, search, searchParams } = new URL(request.url, this.url);
    this.asked.push({ pathname, headers: request.headers });
    const send = (type, body, more = {}) => response.writeHead(200, { 'content-type': type, ...more }).end(body);
    switch (pathname) {
      case '/page': return send('text/html', page, { 'set-cookie': 'gateway_session=; Path=/api/admin; Max-Age=0', 'clear-site-data': '"*"' });
      case '/lax': return send('text/html', page, { 'content-security-policy': 'sandbox allow-scripts allow-same-origin allow-popups' });
      case '/cached': return send('text/html', page, { 'cache-control': 'max-age=600' });
      case '/heavy': return send('text/html', page, { 'set-cookie': heavy, 'www-authenticate': 'Basic realm="the gateway"' });
      case '/svg': return send('image/svg+xml', svg);
      case '/xhtml': return send('application/xhtml+xml', `<html xmlns="http://www.w3.org/1999/xhtml"><body><script>${script}</script></body></html>`);
      case '/sw.js': return send('text/javascript', 'self.onfetch = () => {}', { 'service-worker-allowed': '/' });
      case '/told': this.told.push(decodeURIComponent(search.slice(1))); return send('text/plain', '');
      // The relay's own site, on another port of the same host: it shows the gateway's paths in every way there is.
      case '/outside': return send('text/html', this.outside(searchParams.get('gateway'), searchParams.get('path')));
      default: return send('text/plain', 'nothing');
    }
  }

  outside(gateway, path) {
    const at = `${gateway}${path}`;
    return `<!doctype html><title>outside</title><iframe src="${at}"></iframe><embed type="text/html" src="${at}"><object type="text/html" data="${at}"></object>
      <script>fetch('${at}', { mode: 'no-cors', credentials: 'include' }).then(() => {
        document.body.append(Object.assign(document.createElement('iframe'), { src: '${at}' }));
        document.title = 'fetched';
      });</script>`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe("a relay's page in the operator's browser", { skip: IS_MOCK && 'the mock has no upstream' }, () => {
  let bench, relay, operator, earlier;

  before(async () => {
    [bench, relay] = [await Bench.start(), await Relay.start()];
    operator = await bench.visit({ isNew: true });
    earlier = (await operator.api('config')).overlay;
    await overlay(`gateway:\n  upstreams:\n    - name: hostile\n      base_url: ${relay.url}\n`);
  });
  after(async () => {
    await overlay(earlier);
    await operator.close();
    relay.stop();
    await bench.stop();
  });

  async function overlay(text) {
    const { version } = await operator.api('config');
    const answer = await operator.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay: text } });
    assert.equal(answer.status(), 200, await answer.text());
  }

  /** What the relay was told while this was done, and for a moment after it. */
  async function told(what) {
    relay.told = [];
    await what();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return [...new Set(relay.told)].sort();
  }

  async function tab(what) {
    const page = await operator.context.newPage();
    try {
      await what(page);
    } finally {
      await page.close();
    }
  }

  for (const path of ['/lax', '/svg', '/xhtml', '/page']) {
    test(`${path} is shown, and does nothing`, () =>
      tab(async (page) => {
        const found = await told(() => page.goto(bench.url + path));
        assert.deepEqual(found, path === '/page' || path === '/lax' ? ['image'] : []);
        // Nor when its visitor presses its button.
        if (path === '/page') assert.deepEqual(await told(() => page.getByRole('button').click()), []);
        assert.equal(page.url(), bench.url + path);
        assert.equal((await operator.context.serviceWorkers()).length, 0);
        assert((await operator.api('config')).version, "the operator's session goes on");
      }));
  }

  test("a relay's cookies reach no request to the panel", () =>
    tab(async (page) => {
      await page.goto(`${bench.url}/heavy`);
      const names = (await operator.context.cookies(`${bench.url}/api/admin/config`)).map(({ name }) => name);
      assert.deepEqual(names, ['gateway_session']);
      assert((await operator.api('config')).version, "the operator's session goes on");
    }));

  test("another site on this machine gets nothing out of the gateway's paths, however it shows them", () =>
    tab(async (page) => {
      for (const path of ['/page', '/cached']) {
        const url = `${relay.url}/outside?gateway=${encodeURIComponent(bench.url)}&path=${path}`;
        const found = await told(async () => {
          await page.goto(url);
          await page.waitForFunction(() => document.title === 'fetched');
        });
        assert.deepEqual(found, ['image'], path);
      }
      // What was fetched there is in the browser's cache, and no document without its confines.
      assert.deepEqual((await told(() => page.goto(`${bench.url}/cached`))).filter((what) => what !== 'image'), []);
    }));

  test('no other page frames the panel', () =>
    tab(async (page) => {
      await page.goto(`${relay.url}/outside?gateway=${encodeURIComponent(bench.url)}&path=/admin`);
      await page.waitForFunction(() => document.title === 'fetched');
      await page.waitForTimeout(500);
      const frames = page.frames().slice(1);
      assert(frames.length > 0);
      // What Chromium shows in place of a page that may not be framed.
      for (const frame of frames) assert.match(frame.url(), /^chrome-error:/);
    }));

  test('not even the panel itself gets a service worker from the relay', () =>
    tab(async (page) => {
      await page.goto(`${bench.url}/admin/`);
      const registered = await page.evaluate(() =>
        navigator.serviceWorker.register('/sw.js', { scope: '/' }).then(() => 'registered', (error) => String(error)),
      );
      assert.match(registered, /403/);
      assert(!relay.asked.some(({ pathname, headers }) => pathname === '/sw.js' && headers['service-worker']), 'the relay heard of it');
    }));

  test('over plain HTTP from another machine, where browsers say less, it is the same', async () => {
    const { port } = new URL(bench.url);
    const host = `http://gateway.test:${port}`;
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, '--host-resolver-rules=MAP *.test 127.0.0.1'],
    });
    try {
      const page = await browser.newPage();
      relay.asked = [];
      assert.deepEqual(await told(() => page.goto(`${host}/page`)), ['image']);
      assert(!relay.asked.some(({ headers }) => 'sec-fetch-dest' in headers), 'this is what the test is about');
      const other = relay.url.replace('127.0.0.1', 'relay.test');
      const found = await told(async () => {
        await page.goto(`${other}/outside?gateway=${encodeURIComponent(host)}&path=/page`);
        await page.waitForFunction(() => document.title === 'fetched');
      });
      assert.deepEqual(found, ['image']);
      // What the gateway's own host fetched as a part of a page, with nothing but its name to tell that it is a browser.
      const answer = await page.context().request.get(`${bench.url}/heavy`, { headers: { 'user-agent': await page.evaluate(() => navigator.userAgent) } });
      assert.equal(answer.headers()['content-security-policy'], 'sandbox');
      assert.equal(answer.headers()['set-cookie'], undefined);
    } finally {
      await browser.close();
    }
  });
});
