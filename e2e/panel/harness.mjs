// A browser, a gateway to look at, and a watch over what a page must not do.
//
// PANEL_URL   origin of a running gateway; without it the mock of static/dev is started on a free port
// PANEL_KEY   its DASHBOARD_API_KEY (test-key)
// PANEL_FIRST_KEY    the key that another made at its first start; its log has no request, HTTPS_PROXY is in its environment
// PANEL_FIRST_LINKS  three links to it that `anyrouter-gateway panel` printed, with blanks between
// CHROMIUM    the browser (/usr/bin/chromium)
// DEBUG_FILE  where Playwright writes what it is asked for (with DEBUG=pw:api); a visit that hangs shows the end of it

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
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

const LONGEST_SETTLING_MS = 250;
/** What a browser is asked to run has no time limit of its own: without these a page that hangs takes the rest of its file with it. */
const LONGEST_VISIT_MS = 120_000;
const LONGEST_CLOSING_MS = 10_000;
const CALLS_SHOWN = 12;

export class Late extends Error {}
/** What comes of a promise, or a failure that says what was not done in this time. */
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Late(`${what} was not done after ${ms / 1000} s`)), ms); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

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
    bench.windows = new Map();
    bench.server = url === undefined ? await startMock(key, rows) : { url: url.replace(/\/$/, ''), stop: () => {} };
    bench.url = bench.server.url;
    await bench.launch();
    return bench;
  }

  async launch() {
    this.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  }

  /** Another browser, in the place of one that hangs. */
  async relaunch() {
    await within(LONGEST_CLOSING_MS, this.browser.close(), 'closing the browser').catch((error) => console.error(error.message));
    this.windows.clear();
    await this.launch();
  }

  async stop() {
    await within(LONGEST_CLOSING_MS, this.browser.close(), 'closing the browser').catch((error) => console.error(error.message));
    this.server.stop();
  }

  /** A link that logs in, as the gateway prints it: it is good once. */
  link(path = IS_MOCK ? '/' : '') {
    const hash = IS_MOCK ? `#key=${encodeURIComponent(this.key)}` : new URL(firstLinks.shift()).hash;
    return `${this.url}/admin${path}${hash}`;
  }

  /**
   * A page that is signed in, unless told otherwise. It stands in a browser window that former pages have had, as a reader's
   * does: the files of the panel are in its cache, all else that they left is gone. A new one keeps the panel's shell too.
   */
  async visit({
    locale = 'en-US', theme = 'light', width = 1440, height = width < 900 ? 844 : 900, scale = width < 900 ? 2 : 1, timezoneId = 'Asia/Shanghai',
    isSignedIn = true, isNew = !isSignedIn,
  } = {}) {
    const options = {
      locale, colorScheme: theme, viewport: { width, height }, timezoneId, reducedMotion: 'reduce', hasTouch: width < 900, isMobile: width < 900,
      deviceScaleFactor: scale, permissions: ['clipboard-read', 'clipboard-write'], serviceWorkers: isNew ? 'allow' : 'block',
    };
    const kind = isNew ? null : JSON.stringify([this.url, options]);
    const context = this.windows.get(kind)?.pop() ?? await this.browser.newContext(options);
    if (isSignedIn && this.key !== '' && (await context.cookies(this.url)).length === 0) {
      const answer = await context.request.post(`${this.url}/api/admin/session`, { data: { key: this.key } });
      assert.equal(answer.status(), 204);
    }
    return new Visit(this, context, await context.newPage(), kind);
  }

  /** Keeps a window for the next visit of its kind, unless something is left in it. */
  async giveBack(kind, context) {
    if (kind === null || context.pages().length > 0) return context.close();
    return this.windows.set(kind, [...(this.windows.get(kind) ?? []), context]);
  }
}

export class Visit {
  constructor(bench, context, page, kind) {
    Object.assign(this, { bench, context, page, kind, faults: [], asked: new Set() });
    page.on('console', (message) => {
      if (message.type() === 'error') this.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.faults.push(`exception: ${error.message}`));
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => this.asked.delete(request));
    page.on('request', (request) => {
      // The feed never ends.
      if (request.url().includes('/api/admin/') && request.resourceType() !== 'eventsource') this.asked.add(request);
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
    // Some answers are not waited for long: a test may keep them back.
    const deadline = Date.now() + LONGEST_SETTLING_MS;
    while (this.asked.size > 0 && Date.now() < deadline) await new Promise((resolve) => { setTimeout(resolve, 10); });
    await this.drawn();
  }

  /** Until what is known now is drawn; charts are drawn in the frame after the one that has their size. */
  drawn() {
    return this.page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve))); }));
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
    await this.page.evaluate(readFileSync(axePath, 'utf8'));
  }

  /** How far the page is wider than the window, or what lies above it wider than its box. */
  overhang() {
    return this.page.evaluate(() => Math.max(...[document.documentElement, ...document.querySelectorAll('dialog[open] .content')].map((box) => box.scrollWidth - box.clientWidth)));
  }

  /** Shows the same page in another look, as the reader's own choices do: it is not loaded again. */
  async look({ locale, theme, width, height }) {
    await this.page.setViewportSize({ width, height });
    await this.page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    const language = locale === 'zh-CN' ? locale : 'en';
    await this.page.evaluate((chosen) => document.querySelector(`input[type=radio][value="${chosen}"]`).click(), language);
    await this.page.waitForFunction((chosen) => document.documentElement.lang === chosen && !document.querySelector('.skeleton'), language);
    await this.page.evaluate(() => { for (const box of [document.documentElement, ...document.querySelectorAll('dialog[open] .content')]) box.scrollTop = 0; });
    await this.drawn();
  }

  /** What a finger would miss: things to press that take no touch 22 px beside their middle. */
  missed() {
    return this.page.evaluate(() => {
      const root = [...document.querySelectorAll('dialog')].at(-1) ?? document.querySelector('main');
      const found = [];
      for (const element of root.querySelectorAll('button:not(:disabled, .title), select, input:not([type=checkbox], [type=radio], .visually-hidden), a.button, .target, .face')) {
        element.scrollIntoView({ block: 'center' });
        const { x, y, width, height } = element.getBoundingClientRect();
        if (width === 0) continue;
        const [middleX, middleY] = [x + width / 2, y + height / 2];
        const takes = (dx, dy) => {
          const hit = document.elementFromPoint(middleX + dx, middleY + dy);
          return hit !== null && (element.contains(hit) || hit.contains(element) && hit.matches('label'));
        };
        if (!takes(0, 0)) continue;
        if (!takes(0, -21) || !takes(0, 21) || (width < 42 && (!takes(-21, 0) || !takes(21, 0)))) found.push(`${element.outerHTML.slice(0, 120)} ${Math.round(width)} x ${Math.round(height)}`);
      }
      return found;
    });
  }

  async close() {
    // What is under way to a page that nobody looks at any more may fail.
    await this.page.unrouteAll({ behavior: 'ignoreErrors' });
    const isEmptied = await this.page.evaluate(() => localStorage.clear()).then(() => true, () => false);
    await this.page.close();
    await this.bench.giveBack(isEmptied ? this.kind : null, this.context);
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

/** What the browser was asked for last, in a line. */
function lastCalls() {
  const file = process.env.DEBUG_FILE;
  return file !== undefined && existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-CALLS_SHOWN).join(' | ') : '';
}

/** Opens a page, does something with it, and wants no fault but those that are expected. */
export async function visiting(bench, options, what, expected = []) {
  const visit = await bench.visit(options);
  try {
    await within(LONGEST_VISIT_MS, what(visit, visit.page), 'the visit');
    const faults = visit.faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
    assert.deepEqual(faults, []);
  } catch (error) {
    if (error instanceof Late) error.message += `; at ${visit.page.url()}: ${lastCalls()}`;
    throw error;
  } finally {
    await within(LONGEST_CLOSING_MS, visit.close(), 'closing the page').catch((error) => console.error(error.message));
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
