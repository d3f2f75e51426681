// Filters that got a name, and links to what is seen, which survive a login. A gateway of its own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { visiting as visitingAt } from './harness.mjs';
import { IS_BUILT, startMarked } from './own_gateway.mjs';

const SESSION = 'eeeeeeee-1111-4222-8333-444455556666';
const LOCALES = ['en-US', 'zh-CN'];

let bench;
let stop;
before(async () => {
  ({ bench, stop } = await startMarked(SESSION));
});
after(() => stop?.());
const visiting = (options, what, expected) => visitingAt(bench, { timezoneId: 'Asia/Shanghai', ...options }, what, expected);

describe('saved filters', { skip: !IS_BUILT }, () => {
  const WORDS = {
    'en-US': { menu: 'Saved filters', name: 'Name', save: 'Save', rename: 'Rename “cheap ones”', rest: 'New name of “cheap ones”', remove: 'Delete “少数”', where: 'Kept in this browser only, 50 at most', none: 'None yet' },
    'zh-CN': { menu: '已存筛选', name: '名称', save: '保存', rename: '重命名“cheap ones”', rest: '“cheap ones”的新名称', remove: '删除“少数”', where: '只保存在本浏览器中，最多 50 个', none: '还没有' },
  };
  for (const [locale, words] of Object.entries(WORDS)) {
    test(`get a name, are listed, applied, renamed and deleted, with keys alone (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        const menu = page.getByRole('button', { name: words.menu });
        const rows = (count) => page.waitForFunction((wanted) => document.querySelectorAll('.slot').length === wanted, count);
        await visit.open('/requests?range=24h&model=claude-cheap');
        await rows(1);
        await menu.press('Enter');
        await page.getByText(words.where).waitFor();
        // The field has the focus: a name and Enter.
        await page.keyboard.type('cheap ones');
        await page.keyboard.press('Enter');
        await page.getByRole('button', { name: 'cheap ones', exact: true }).waitFor();
        assert.deepEqual(await visit.violations(), []);
        await page.keyboard.press('Escape');
        // After a reload, on another view of the page.
        await visit.open('/requests?outcome=completed');
        await menu.press('Enter');
        await page.keyboard.press('Enter');
        await page.waitForURL((url) => url.searchParams.get('range') === '24h' && url.searchParams.get('model') === 'claude-cheap' && !url.searchParams.has('outcome'));
        await rows(1);
        // And "back" leads back.
        await page.goBack();
        await page.waitForURL(/outcome=completed/);
        await menu.press('Enter');
        await page.getByRole('button', { name: words.rename }).press('Enter');
        assert.equal(await page.getByLabel(words.rest).inputValue(), 'cheap ones');
        await page.keyboard.type('少数');
        await page.keyboard.press('Enter');
        await page.getByRole('button', { name: '少数', exact: true }).waitFor();
        await page.keyboard.press('Escape');
        // The palette knows it, from any page.
        await visit.open('/errors');
        await page.keyboard.press('Control+k');
        await page.getByRole('combobox').waitFor();
        await page.keyboard.type('少数');
        await page.locator('[role=option][aria-selected=true]').filter({ hasText: '少数' }).waitFor();
        await page.keyboard.press('Enter');
        await page.waitForURL(/requests\?.*model=claude-cheap/);
        await menu.press('Enter');
        await page.getByRole('button', { name: words.remove }).press('Enter');
        await page.getByText(words.none).waitFor();
      }));
  }

  for (const width of [390, 820, 1440]) {
    test(`fit, however long their names are (${width} px)`, () =>
      visiting({ width }, async (visit, page) => {
        await page.addInitScript(() => {
          const filters = ['a name', 'a rather long name '.repeat(3), 'w'.repeat(60)].map((name) => ({ page: 'requests', name, query: {} }));
          localStorage.setItem('panel.filters', JSON.stringify({ version: 1, filters }));
        });
        await visit.open('/requests');
        await page.getByRole('button', { name: 'Saved filters' }).click();
        await page.waitForFunction(() => {
          const buttons = [...document.querySelectorAll('.saved button')];
          return buttons.length === 10 && buttons.every((button) => {
            const { left, right } = button.closest('.box').getBoundingClientRect();
            const box = button.getBoundingClientRect();
            return left >= 0 && right <= document.documentElement.clientWidth && box.left >= left && box.right <= right;
          });
        });
        assert(await visit.overhang() <= 0);
        assert.deepEqual(await visit.violations(), []);
        await visit.screenshot(`saved-${width}`);
      }));
  }

  test('are those of their page, the same in all tabs, and survive whatever the storage has', () =>
    visiting({}, async (visit, page) => {
      const filters = Array.from({ length: 60 }, (_, index) => ({ page: 'sessions', name: `number ${index}`, query: { range: '7d', sort: 'cost', evil: 'x' } }));
      await visit.open('/');
      for (const text of ['{', '[]', JSON.stringify({ version: 9, filters }), JSON.stringify({ version: 1, filters: [null, { page: 'config', name: 'x', query: {} }] })]) {
        await page.evaluate((value) => localStorage.setItem('panel.filters', value), text);
        await visit.open('/requests');
        await page.getByRole('button', { name: 'Saved filters' }).click();
        await page.getByText('None yet').waitFor();
      }
      await page.evaluate((value) => localStorage.setItem('panel.filters', value), JSON.stringify({ version: 1, filters }));
      await visit.open('/sessions?range=24h');
      await page.getByRole('button', { name: 'Saved filters' }).click();
      assert.equal(await page.locator('.saved li').count(), 50);
      await page.getByLabel('Save what is set now').fill('one more');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: 'There are 50 already' }).waitFor();
      const tab = await visit.context.newPage();
      await tab.goto(`${bench.url}/admin/sessions?range=24h`);
      await tab.getByRole('button', { name: 'Saved filters' }).click();
      await tab.getByRole('button', { name: 'Delete “number 0”' }).click();
      await page.getByRole('button', { name: 'number 0', exact: true }).waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'number 1', exact: true }).click();
      await page.waitForURL((url) => url.search === '?range=7d&sort=cost');
    }));
});

describe('links', { skip: !IS_BUILT }, () => {
  test('hold what is seen: what is searched for, compared, shown in full', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?section=log');
      await page.getByRole('searchbox').fill('keep_stat');
      await page.waitForURL(/section=log&q=keep_stat/);
      await page.reload();
      await visit.settled();
      await page.locator('[data-setting="gateway.log.keep_statistics"]').waitFor();
      assert.equal(await page.locator('.setting').count(), 1);
      await page.getByRole('navigation', { name: 'Groups of settings' }).getByRole('link').first().click();
      await page.waitForURL((url) => !url.searchParams.has('q'));
      assert.equal(await page.getByRole('searchbox').inputValue(), '');
      await visit.open('/config?view=history');
      await page.getByRole('button', { name: 'Compare' }).first().click();
      await page.waitForURL(/version=/);
      await page.reload();
      await page.locator('[aria-expanded=true]').filter({ hasText: 'Compare' }).waitFor();
    }));

  const VIEWS = [
    '/?range=7d', '/requests?range=24h&model=claude-cheap,claude-dear&q=a%26b+%E4%B8%AD', '/sessions?range=7d&sort=cost&q=eeee', `/sessions/${SESSION}#waste`, '/costs?range=month&by=key&sort=requests&order=up',
    '/waste?range=7d&sort=tokens&all=1', '/errors?range=custom&from=1795737600000&to=1795741200000', '/upstreams?upstream=far', '/rules?upstream=near&rule=mark-them', '/rules?view=try',
    '/config?section=log&setting=gateway.log.keep_statistics', '/config?q=timeout', '/config?view=yaml', '/notify', '/connect?client=python',
  ];
  test('to every view are copied with one button, and survive the login with all that they hold', () =>
    visiting({}, async (visit, page) => {
      const { requests: [{ id }] } = await visit.api(`requests?session=${SESSION}&limit=1`);
      for (const view of [...VIEWS, `/requests?range=24h&id=${id}`]) {
        const url = `${bench.url}/admin${view}`;
        await visit.open(view);
        const open = page.getByRole('dialog');
        await (await open.count() > 0 ? open : page).getByRole('button', { name: 'Copy the link to this view' }).click();
        await page.getByText('Link copied').last().waitFor();
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), url);
        await visit.context.clearCookies();
        await page.goto('about:blank');
        await page.goto(url);
        await page.waitForURL(/login\?to=/);
        await page.getByLabel('Key or token', { exact: true }).fill(bench.key);
        await page.getByRole('button', { name: 'Sign in', exact: true }).click();
        await page.waitForURL(url);
        await visit.settled();
        assert.equal(page.url(), url);
      }
    }, [/401/]));

  for (const locale of LOCALES) {
    test(`are copied on the phone, where all fits (${locale})`, () =>
      visiting({ locale, width: 390 }, async (visit, page) => {
        const { requests: [{ id }] } = await visit.api(`requests?session=${SESSION}&limit=1`);
        for (const [view, name] of [['/requests', 'requests'], ['/sessions', 'sessions'], [`/requests?id=${id}`, 'request'], ['/costs', 'costs']]) {
          await visit.open(view);
          assert(await visit.overhang() <= 0, view);
          assert.deepEqual(await visit.violations(), [], view);
          await visit.screenshot(`links-${name}-${locale}`);
        }
      }));
  }
});
