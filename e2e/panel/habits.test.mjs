// What people do without thinking: keys, the palette, filters that they saved, links that they send. A gateway of its own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { visiting as visitingAt } from './harness.mjs';
import { IS_BUILT, startMarked } from './own_gateway.mjs';

const SESSION = 'dddddddd-1111-4222-8333-444455556666';
const LOCALES = ['en-US', 'zh-CN'];

let own;
let bench;
let stop;
before(async () => {
  ({ own, bench, stop } = await startMarked(SESSION, { hasFailure: true }));
});
after(() => stop?.());
const visiting = (options, what, expected) => visitingAt(bench, { timezoneId: 'Asia/Shanghai', ...options }, what, expected);

describe('running requests', { skip: !IS_BUILT }, () => {
  /** Holds so many requests while something is done. */
  async function holding(count, what) {
    const stop = new AbortController();
    const ended = Promise.allSettled(Array.from({ length: count }, () => own.ask({ use: [1, 0, 0, 1], wait: 120_000, signal: stop.signal })));
    try {
      await what();
    } finally {
      stop.abort();
      await ended;
    }
  }
  const WORDS = { 'en-US': { more: /^\+?4 more/, served: 'Being served' }, 'zh-CN': { more: /4/, served: '正在处理' } };

  for (const locale of LOCALES) {
    test(`the dashboard says how many more there are, and leads to all of them (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await holding(8, async () => {
          await visit.open('/');
          const more = page.locator('.feed .others a');
          await page.waitForFunction(() => document.querySelectorAll('.feed .running-row').length === 4);
          await more.filter({ hasText: WORDS[locale].more }).waitFor();
          await more.click();
          await page.waitForURL(/requests/);
          await page.waitForFunction(() => document.querySelectorAll('.request-row.running').length === 8);
        });
      }));
  }

  test('are in the list of a time that goes on, and not of one that is over', () =>
    visiting({}, async (visit, page) => {
      await holding(2, async () => {
        const shown = (count) => page.waitForFunction((wanted) => document.querySelectorAll('.request-row.running').length === wanted, count);
        for (const range of ['15m', '24h', 'today', 'month']) {
          await visit.open(`/requests?range=${range}`);
          await shown(2);
        }
        const now = Date.now();
        for (const query of ['range=yesterday', `range=custom&from=${now - 3_600_000}&to=${now - 1_000}`]) {
          await visit.open(`/requests?${query}`);
          await page.waitForTimeout(1_200);
          await shown(0);
        }
      });
    }));
});

describe('what is not saved', { skip: !IS_BUILT }, () => {
  for (const [locale, words] of Object.entries({
    'en-US': { signOut: 'Sign out', discard: 'Discard them', stay: 'Keep editing' }, 'zh-CN': { signOut: '退出登录', discard: '放弃修改', stay: '继续编辑' },
  })) {
    test(`is asked about before signing out (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await visit.open('/config?section=log');
        await page.locator('.setting input[type=text]:enabled').first().fill('7d');
        await page.getByRole('button', { name: words.signOut }).click();
        await page.getByRole('button', { name: words.stay }).click();
        // Still signed in, and the edit is there.
        assert.equal((await visit.api('session')).may_read, true);
        assert.equal(await page.locator('.setting input[type=text]:enabled').first().inputValue(), '7d');
        await page.getByRole('button', { name: words.signOut }).click();
        await page.getByRole('button', { name: words.discard }).click();
        await page.waitForURL(/login/);
        // Asked once, not twice.
        assert.equal(await page.locator('dialog').count(), 0);
        assert.equal((await visit.api('session')).may_read, false);
        // What the page was just asking for is refused by then.
      }, [/401/]));
  }
});

const palette = (page) => page.getByRole('combobox', { name: /^(Search and commands|搜索与命令)$/ });
const chosen = (page) => page.locator('[role=option][aria-selected=true]');
/** Opens the palette and types, with nothing but keys. */
async function type(page, text, key = 'Control+k') {
  await page.keyboard.press(key);
  await palette(page).waitFor();
  await page.keyboard.type(text);
}
async function enter(page, first) {
  await chosen(page).filter({ hasText: first }).waitFor();
  await page.keyboard.press('Enter');
  await palette(page).waitFor({ state: 'detached' });
}

describe('the palette', { skip: !IS_BUILT }, () => {
  /** What is typed, what is chosen first then, and where that leads. */
  const PLACES = {
    'en-US': [
      ['costs', 'Costs', /\/costs/], ['hist', 'History', /config\?view=history/], ['far', 'far', /upstreams\?upstream=far/], ['mark-them', 'mark-them', /rules\?upstream=near&rule=mark-them/],
      ['log.keep_statistics', 'log.keep_statistics', /config\?section=log&setting=gateway\.log\.keep_statistics/],
    ],
    'zh-CN': [['费用', '费用', /\/costs/], ['costs', '费用', /\/costs/], ['请求', '请求', /\/requests/], ['mark', 'mark-them', /rule=mark-them/], ['keep_stat', 'log.keep_statistics', /setting=gateway\.log\.keep_statistics/]],
  };
  for (const [locale, places] of Object.entries(PLACES)) {
    test(`leads to pages, upstreams, rules and settings with a key, a word and Enter (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await visit.open('/');
        for (const [typed, first, url] of places) {
          await type(page, typed);
          await enter(page, first);
          await page.waitForURL(url);
          await visit.settled();
        }
        // What was chosen is in sight and has the focus.
        await page.waitForFunction(() => document.activeElement?.dataset.setting === 'gateway.log.keep_statistics');
        assert.equal(await page.evaluate(() => document.activeElement.getBoundingClientRect().top < innerHeight), true);
      }));
  }

  test('finds settings by their words in both languages', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      const { settings } = await visit.api('config');
      const { help, help_zh: chinese } = settings.find(({ key }) => key === 'gateway.log.keep_statistics');
      for (const words of [help.slice(0, 30), chinese.slice(0, 8)]) {
        await type(page, words);
        await page.getByRole('option', { name: 'log.keep_statistics' }).first().waitFor();
        await page.keyboard.press('Escape');
        await palette(page).waitFor({ state: 'detached' });
      }
    }));

  test('finds sessions and requests by a part of their ids', () =>
    visiting({}, async (visit, page) => {
      const asked = [];
      page.on('request', (request) => /\/api\/admin\/(sessions|requests)\?.*q=/.test(request.url()) && asked.push(request.url()));
      await visit.open('/');
      await type(page, SESSION.slice(0, 12));
      await enter(page, SESSION);
      await page.waitForURL(new RegExp(`/sessions/${SESSION}`));
      // One question for twelve letters, and none for words.
      assert.equal(asked.filter((url) => url.includes('/sessions?')).length, 1);
      await visit.settled();
      const [{ id }] = (await visit.api(`requests?session=${SESSION}`)).requests;
      for (const text of [id, id.slice(4, 24)]) {
        await type(page, text);
        await enter(page, id);
        await page.waitForURL(new RegExp(`/requests\\?id=${id}`));
        await page.getByRole('dialog').getByText(id).first().waitFor();
        await page.keyboard.press('Escape');
      }
      await type(page, 'no such thing');
      await page.getByText('Nothing found').waitFor();
      assert(asked.length <= 4, asked.join('\n'));
    }));

  test('does things: colours, language, the live feed, the list of keys', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await type(page, 'dark');
      await enter(page, 'Dark');
      await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
      await type(page, 'pause');
      await enter(page, 'Pause the live feed');
      const paused = page.locator('aside').getByRole('button', { name: 'Paused' });
      await paused.waitFor();
      await type(page, 'go on');
      await enter(page, 'Go on with the live feed');
      await paused.waitFor({ state: 'detached' });
      await type(page, '中文');
      await enter(page, '中文');
      await page.getByRole('heading', { name: '总览', level: 1 }).waitFor();
      await type(page, '快捷键');
      await enter(page, '键盘快捷键');
      await page.getByRole('dialog', { name: '键盘快捷键' }).waitFor();
    }));

  test('what ends while the live feed is paused is listed when it goes on', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      const before = await page.locator('[data-index]').count();
      await type(page, 'pause the live');
      await enter(page, 'Pause');
      await own.ask({ session: SESSION, as: 'main', use: [1, 0, 0, 1], model: 'claude-late' });
      await own.logged(4, SESSION);
      assert.equal(await page.locator('[data-index]').count(), before);
      await page.locator('aside').getByRole('button', { name: 'Paused' }).click();
      await page.getByRole('button', { name: 'claude-late' }).first().waitFor();
    }));

  test('gives the focus back, opens from a field, and goes round with the arrows', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      const search = page.getByRole('searchbox');
      await search.focus();
      await type(page, 's');
      const [first, count] = [await chosen(page).innerText(), await page.getByRole('option').count()];
      await page.keyboard.press('ArrowUp');
      assert.equal(await page.getByRole('option').nth(count - 1).getAttribute('aria-selected'), 'true');
      const active = await palette(page).getAttribute('aria-activedescendant');
      assert.equal(await chosen(page).getAttribute('id'), active);
      await page.keyboard.press('ArrowDown');
      assert.equal(await chosen(page).innerText(), first);
      await page.keyboard.press('Escape');
      await palette(page).waitFor({ state: 'detached' });
      assert.equal(await search.evaluate((field) => field === document.activeElement), true);
      // The same key closes it.
      await page.keyboard.press('Control+k');
      await palette(page).waitFor();
      await page.keyboard.press('Control+k');
      await palette(page).waitFor({ state: 'detached' });
      // And the one of a Mac.
      await page.keyboard.press('Meta+k');
      await palette(page).waitFor();
    }));

  for (const [locale, theme, width] of [['en-US', 'light', 1440], ['zh-CN', 'dark', 1440], ['en-US', 'dark', 390], ['zh-CN', 'light', 390]]) {
    test(`opens from a button, is readable aloud, and fits (${locale}, ${theme}, ${width})`, () =>
      visiting({ locale, theme, width }, async (visit, page) => {
        await visit.open('/config');
        await page.getByRole('button', { name: /^(Search|搜索)/ }).filter({ visible: true }).first().click();
        await palette(page).waitFor();
        await page.waitForFunction(() => document.querySelectorAll('[role=option]').length > 10);
        assert.deepEqual(await visit.violations(), []);
        await page.keyboard.type('timeout');
        await page.getByRole('option').first().waitFor();
        assert.deepEqual(await visit.violations(), []);
        assert(await visit.overhang() <= 0);
        const box = await page.locator('dialog[open]').boundingBox();
        assert(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
        await visit.screenshot(`palette-${locale}-${theme}-${width}`);
        await page.keyboard.press('Escape');
        await page.keyboard.press('?');
        await page.getByRole('dialog', { name: /^(Keyboard shortcuts|键盘快捷键)$/ }).waitFor();
        assert.deepEqual(await visit.violations(), []);
        await visit.screenshot(`keys-${locale}-${theme}-${width}`);
      }));
  }

  test('is loaded when it is opened, not before', () =>
    visiting({}, async (visit, page) => {
      const loaded = [];
      page.on('request', (request) => loaded.push(request.url()));
      await visit.open('/');
      assert.equal(loaded.filter((url) => /CommandPalette|KeyList/.test(url)).length, 0);
    }));
});

describe('keys', { skip: !IS_BUILT }, () => {
  const WORDS = { 'en-US': { keys: 'Keyboard shortcuts', search: 'The search field of this page' }, 'zh-CN': { keys: '键盘快捷键', search: '跳到本页的搜索框' } };
  for (const locale of LOCALES) {
    test(`/ goes to the search of a page that has one, else to the palette, and ? lists the keys (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        for (const path of ['/requests', '/sessions', '/config']) {
          await visit.open(path);
          await page.keyboard.press('/');
          assert.deepEqual(await page.evaluate(() => [document.activeElement.type, document.activeElement.value]), ['search', ''], path);
        }
        // There they are letters.
        await page.keyboard.type('/?');
        assert.equal(await page.evaluate(() => document.activeElement.value), '/?');
        assert.equal(await page.locator('dialog').count(), 0);
        for (const path of ['/', '/errors', '/config?view=history']) {
          await visit.open(path);
          await page.keyboard.press('/');
          await palette(page).waitFor();
          await page.keyboard.press('Escape');
          await page.keyboard.press('?');
          const list = page.getByRole('dialog', { name: WORDS[locale].keys });
          await list.getByText(WORDS[locale].search).waitFor();
          await page.keyboard.press('Escape');
          await list.waitFor({ state: 'detached' });
        }
        await visit.open('/config?view=yaml');
        await page.locator('.cm-content').first().click();
        await page.keyboard.type('?/');
        assert.equal(await page.locator('dialog').count(), 0);
      }));
  }
});
