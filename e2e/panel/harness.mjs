// A browser, a gateway to look at, and a watch over what a page must not do.
//
// PANEL_URL   origin of a running gateway; without it the mock of static/dev is started on a free port
// PANEL_KEY   its DASHBOARD_API_KEY (test-key)
// PANEL_FIRST_KEY    the key that another made at its first start; its log has no request, HTTPS_PROXY is in its environment
// PANEL_FIRST_LINKS  three links to it that `anyrouter-gateway panel` printed, with blanks between
// CHROMIUM    the browser (/usr/bin/chromium)

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer as createHttpServer, request as ask } from 'node:http';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../../', import.meta.url));
const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

export const KEY = process.env.PANEL_KEY ?? 'test-key';
export const SCREENSHOTS = process.env.PANEL_SCREENSHOTS ?? `${root}target/panel-screenshots/`;
export const IS_MOCK = !process.env.PANEL_URL;
const firstLinks = (process.env.PANEL_FIRST_LINKS ?? '').split(' ').filter(Boolean);
/** A gateway at its first start. */
export const FIRST = {
  url: firstLinks[0] && new URL(firstLinks[0]).origin, key: process.env.PANEL_FIRST_KEY ?? 'made/up key', rows: 0, isThere: IS_MOCK || firstLinks.length > 0,
};
mkdirSync(SCREENSHOTS, { recursive: true });

export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync',
];

/** A port that nobody uses. */
export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The mock on a port of its own, with this key. */
async function startMock(key, rows = 20_000) {
  const port = await freePort();
  const child = spawn(
    process.execPath,
    ['node_modules/vite/bin/vite.js', 'preview', '--mode', 'mock', '--host', '127.0.0.1', '--port', String(port), '--strictPort'],
    { cwd: `${root}static`, env: { ...process.env, MOCK_KEY: key, MOCK_ROWS: String(rows) }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      if ((await fetch(`${url}/api/admin/session`)).ok) return { url, stop: () => child.kill() };
    } catch {
      // Not yet.
    }
    assert(Date.now() < deadline, 'the mock does not start: is static/dist built?');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Bench {
  static async start({ url = process.env.PANEL_URL, key = KEY, rows } = {}) {
    const bench = new Bench();
    bench.key = key;
    bench.server = url === undefined ? await startMock(key, rows) : { url: url.replace(/\/$/, ''), stop: () => {} };
    bench.url = bench.server.url;
    bench.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
    return bench;
  }

  async stop() {
    await this.browser.close();
    this.server.stop();
  }

  /** A link that logs in, as the gateway prints it: it is good once. */
  link(path = IS_MOCK ? '/' : '') {
    const hash = IS_MOCK ? `#key=${encodeURIComponent(this.key)}` : new URL(firstLinks.shift()).hash;
    return `${this.url}/admin${path}${hash}`;
  }

  /** A browser of its own: signed in, unless told otherwise. */
  async visit({
    locale = 'en-US', theme = 'light', width = 1440, height = width < 900 ? 844 : 900, scale = width < 900 ? 2 : 1, timezoneId = 'Asia/Shanghai',
    isSignedIn = true,
  } = {}) {
    const context = await this.browser.newContext({
      locale, colorScheme: theme, viewport: { width, height }, timezoneId, reducedMotion: 'reduce',
      hasTouch: width < 900, isMobile: width < 900, deviceScaleFactor: scale, permissions: ['clipboard-read', 'clipboard-write'],
    });
    if (isSignedIn && this.key !== '') {
      const answer = await context.request.post(`${this.url}/api/admin/session`, { data: { key: this.key } });
      assert.equal(answer.status(), 204);
    }
    const page = await context.newPage();
    return new Visit(this, context, page);
  }
}

export class Visit {
  constructor(bench, context, page) {
    Object.assign(this, { bench, context, page, faults: [] });
    page.on('console', (message) => {
      if (message.type() === 'error') this.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.faults.push(`exception: ${error.message}`));
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== bench.url && protocol !== 'data:' && protocol !== 'blob:') this.faults.push(`leaves the origin: ${request.url()}`);
    });
  }

  /** Opens a path of the panel and waits until it shows its data. */
  async open(path) {
    await this.page.goto(`${this.bench.url}/admin${path}`);
    await this.settled();
  }

  async settled() {
    await this.page.locator('h1').first().waitFor();
    await this.page.waitForFunction(() => !document.querySelector('.skeleton'));
    await this.page.waitForTimeout(250);
  }

  async api(path) {
    const answer = await this.context.request.get(`${this.bench.url}/api/admin/${path}`);
    assert.equal(answer.status(), 200, path);
    return answer.json();
  }

  async screenshot(name) {
    await this.page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
  }

  /** Serious and critical violations that axe finds. */
  async violations() {
    await this.page.evaluate(() => window.axe === undefined).then((isMissing) => isMissing && this.injectAxe());
    const results = await this.page.evaluate(() =>
      window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }),
    );
    return results.violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 140)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
  }

  async injectAxe() {
    // Through the debugger: the page's policy forbids foreign scripts, and is to stay as it is.
    const { readFileSync } = await import('node:fs');
    await this.page.evaluate(readFileSync(axePath, 'utf8'));
  }

  /** How far the page is wider than the window. */
  overhang() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  async close() {
    // What is under way to a page that nobody looks at any more may fail.
    await this.page.unrouteAll({ behavior: 'ignoreErrors' });
    await this.context.close();
  }
}

/**
 * The same gateway at an address of its own, where it can be gone and come back. `answer` takes what it does not pass on: it
 * gets the request and the response, and says whether it has answered.
 */
export async function standIn(bench, answer = () => false) {
  let server;
  const serve = (incoming, outgoing) => {
    if (answer(incoming, outgoing)) return;
    const passed = ask(bench.url + incoming.url, { method: incoming.method, headers: incoming.headers }, (response) => {
      outgoing.writeHead(response.statusCode, response.headers);
      response.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  };
  const start = (port) => new Promise((resolve) => {
    // A test that fails leaves it behind.
    server = createHttpServer(serve).listen(port, '127.0.0.1', resolve).unref();
  });
  await start(0);
  const { port } = server.address();
  const stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { bench: Object.assign(Object.create(Bench.prototype), bench, { url: `http://127.0.0.1:${port}` }), stop, back: () => start(port) };
}

/** Opens a page, does something with it, and wants no fault but those that are expected. */
export async function visiting(bench, options, what, expected = []) {
  const visit = await bench.visit(options);
  try {
    await what(visit, visit.page);
    const faults = visit.faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
    assert.deepEqual(faults, []);
  } finally {
    await visit.close();
  }
}

/** An answer of the gateway with something in it changed. */
export async function answering(page, path, change) {
  await page.route(`**/api/admin/${path}`, async (route) => {
    try {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: change(await answer.json()) });
    } catch (error) {
      // A page that was closed meanwhile wants no answer.
      if (!page.isClosed()) throw error;
    }
  });
}

/** What the overlay holds is put back afterwards. */
export async function keepingOverlay(visit, what) {
  const { overlay } = await visit.api('config');
  try {
    await what();
  } finally {
    const { version } = await visit.api('config');
    const answer = await visit.context.request.put(`${visit.bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
    assert.equal(answer.status(), 200);
  }
}
