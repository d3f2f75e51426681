// What people ask of sessions: which are active, which cost most, what happened in one of any length. A gateway of its own with
// traffic of known truth; the numbers of the pages are those that SQL finds in the database.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench, visiting as visitingAt } from './harness.mjs';
import { dollars, IS_BUILT, OwnGateway } from './own_gateway.mjs';

const TREE = 'aaaaaaaa-1111-4222-8333-444455556666';
const LONG = 'bbbbbbbb-1111-4222-8333-444455556666';
const CHEAP = 'cccccccc-1111-4222-8333-444455556666';
const OURS = '%-1111-4222-8333-444455556666';
/** Longer than any page of rows. */
const LONG_ROWS = 620;

let own;
let bench;
before(async () => {
  own = await OwnGateway.start();
  bench = await Bench.start({ url: own.url, key: own.key });
  const asked = [
    { session: TREE, as: 'main', use: [100, 20_000, 0, 400] },
    { session: TREE, as: 'main', use: [50, 900, 20_000, 300] },
    { session: TREE, as: 'subagent', agent: 'agent-outer', parent: 'main', type: 'Explore', use: [900, 0, 0, 120] },
    { session: TREE, as: 'subagent', agent: 'agent-inner', parent: 'agent-outer', type: 'general-purpose', use: [300, 0, 0, 20] },
    { session: TREE, as: 'main' },
    { session: CHEAP, as: 'main', key: 'sk-far', model: 'claude-cheap', use: [10, 0, 0, 5] },
  ];
  for (const one of asked) await own.ask(one);
  for (let index = 0; index < LONG_ROWS; index += 20) {
    await Promise.all(Array.from({ length: 20 }, () => own.ask({ session: LONG, as: 'main', model: 'claude-cheap', use: [1, 0, 0, 1] })));
  }
  await own.logged(asked.length + LONG_ROWS, OURS);
});
after(async () => {
  await bench?.stop();
  await own?.stop();
});

const visiting = (options, what, expected) => visitingAt(bench, { timezoneId: 'Asia/Shanghai', ...options }, what, expected);
async function nav(page, name) {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}
const costOf = (session, more = '') => own.sql(`SELECT sum(cost_nano) AS cost FROM requests WHERE session = ? ${more}`, session)[0].cost / 1e9;
const row = (page, session) => page.locator('.slot').filter({ hasText: session.slice(0, 8) });
const order = (page) => page.locator('.slot .title').allInnerTexts();

describe('the list of sessions', { skip: !IS_BUILT }, () => {
  test('begins, two clicks from the dashboard, with the one that cost most today', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await nav(page, 'Sessions');
      await page.getByRole('link', { name: 'Most expensive today' }).click();
      await page.waitForURL(/range=today.*sort=cost|sort=cost.*range=today/);
      await page.getByText('3 sessions', { exact: true }).waitFor();
      const found = own.sql('SELECT substr(session, 1, 8) AS name FROM requests WHERE session LIKE ? GROUP BY session ORDER BY sum(cost_nano) DESC', OURS);
      await page.waitForFunction((first) => document.querySelector('.slot .title')?.textContent.trim() === first, found[0].name);
      assert.deepEqual(await order(page), found.map(({ name }) => name));
      const text = (await row(page, TREE).innerText()).split('\n');
      for (const wanted of ['2 sub-agents', '1 failed', '5', dollars(costOf(TREE)), 'near']) assert(text.includes(wanted), `${wanted} in ${text}`);
      const [{ share }] = own.sql('SELECT 1.0 * sum(cache_read_tokens) / sum(input_tokens + cache_write_tokens + cache_read_tokens) AS share FROM requests WHERE session = ?', TREE);
      assert(text.includes(`${(share * 100).toFixed(1)}%`), `${share} in ${text}`);
    }));

  test('is sorted by what its heads say, filtered, and searched by id', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/sessions?range=24h');
      await page.getByRole('columnheader', { name: 'Requests' }).getByRole('button').click();
      await page.waitForFunction(() => document.querySelector('.slot .title')?.textContent.trim() === 'bbbbbbbb');
      await page.getByLabel('Sort by').selectOption('errors');
      await page.waitForFunction(() => document.querySelector('.slot .title')?.textContent.trim() === 'aaaaaaaa');
      await page.getByRole('searchbox').fill('cccccccc');
      await page.getByText('1 session', { exact: true }).waitFor();
      assert.deepEqual(await order(page), ['cccccccc']);
      await page.getByRole('searchbox').fill('');
      await page.getByText('3 sessions', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Upstream' }).click();
      await page.getByLabel('far').check();
      await page.getByText('1 session', { exact: true }).waitFor();
      assert.deepEqual(await order(page), ['cccccccc']);
      await page.reload();
      await visit.settled();
      assert.deepEqual(await order(page), ['cccccccc']);
    }));

  test('has those first that are active', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/sessions?range=24h');
      const asked = own.ask({ session: CHEAP, model: 'claude-cheap', use: [1, 0, 0, 1], wait: 9_000 });
      await row(page, CHEAP).getByText('1 running').waitFor();
      assert.equal((await order(page))[0], 'cccccccc');
      await asked;
      await row(page, CHEAP).getByText('1 running').waitFor({ state: 'detached' });
    }));

  test('leads to the requests of a session and to those that failed', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/sessions?range=24h');
      await row(page, TREE).getByRole('link', { name: '1 failed' }).click();
      await page.getByText('That is all: 1 request', { exact: true }).waitFor();
    }));
});

describe('a session', { skip: !IS_BUILT }, () => {
  test('is told as a tree with what each agent and all below it cost', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await nav(page, 'Sessions');
      await row(page, TREE).getByRole('link').first().click();
      await page.getByRole('heading', { name: 'Session aaaaaaaa' }).waitFor();
      await visit.settled();
      const tree = page.getByRole('table', { name: 'Main conversation and sub-agents' });
      const cells = await tree.locator('tbody tr').evaluateAll((all) => all.map((one) => [...one.cells].slice(0, 3).map((cell) => cell.innerText.replaceAll('\n', ' ').trim())));
      const cost = (agent) => costOf(TREE, agent === null ? 'AND agent IS NULL' : `AND agent = '${agent}'`);
      assert.deepEqual(cells, [
        ['Main conversation', `${dollars(cost(null))} ${dollars(costOf(TREE))} with its sub-agents`, '3'],
        ['agent-outer Explore', `${dollars(cost('agent-outer'))} ${dollars(cost('agent-outer') + cost('agent-inner'))} with its sub-agents`, '1'],
        ['agent-inner general-purpose under agent-outer', dollars(cost('agent-inner')), '1'],
      ]);
      const [{ first, last }] = own.sql('SELECT min(started_ms) AS first, max(started_ms) AS last FROM requests WHERE session = ?', TREE);
      const dates = await page.locator('.dates').innerText();
      for (const at of [first, last]) {
        const day = new Date(at).toLocaleDateString('en-US', { year: 'numeric', month: 'short', day: 'numeric', timeZone: 'Asia/Shanghai' });
        const clock = new Date(at).toLocaleTimeString('en-GB', { timeZone: 'Asia/Shanghai' });
        assert(dates.includes(day) && dates.includes(clock), `${day} ${clock} in ${dates}`);
      }
    }));

  test('of any length is there as a whole: all its requests, and all of them on the timeline', () =>
    visiting({}, async (visit, page) => {
      await visit.open(`/sessions/${LONG}`);
      await page.getByText(`${LONG_ROWS} in all`).waitFor();
      const bars = await page.locator('.track .bar').evaluateAll((all) => all.map((bar) => bar.getAttribute('aria-label')));
      assert.equal(bars.reduce((sum, label) => sum + Number(/: (\d+) request/.exec(label)[1]), 0), LONG_ROWS);
      const list = page.getByRole('table', { name: 'Requests' }).locator('.scroller');
      await page.waitForFunction((rows) => {
        const element = document.querySelector('.scroller');
        element.scrollTop = element.scrollHeight;
        return element.innerText.includes(`That is all: ${rows} requests`);
      }, LONG_ROWS, { polling: 100 });
      assert(await list.locator('.slot').count() < 80);
      await page.locator('.track .bar').first().click();
      await page.waitForURL(/\/requests\?session=bbbbbbbb.*range=custom/);
      const inFirst = Number(/: (\d+) request/.exec(bars[0])[1]);
      await page.waitForFunction((rows) => {
        const element = document.querySelector('.scroller');
        if (element === null) return false;
        element.scrollTop = element.scrollHeight;
        return new RegExp(`That is all: ${rows} requests?`).test(element.innerText);
      }, inFirst, { polling: 100 });
    }));

  test('is followed while it goes on', () =>
    visiting({}, async (visit, page) => {
      await visit.open(`/sessions/${CHEAP}`);
      const before = own.sql('SELECT count(*) AS n FROM requests WHERE session = ?', CHEAP)[0].n;
      await page.getByText(`${before} in all`).waitFor();
      const asked = own.ask({ session: CHEAP, model: 'claude-cheap', use: [7, 0, 0, 1], wait: 4_000 });
      await page.locator('.totals').getByText('1 running').waitFor();
      await asked;
      await page.getByText(`${before + 1} in all`).waitFor();
      await page.getByText(`That is all: ${before + 1} request`).waitFor();
      await page.locator('.totals').getByText(dollars(costOf(CHEAP))).waitFor();
    }));

  test('opens a request beside itself, and says when it is not in the log', () =>
    visiting({}, async (visit, page) => {
      await visit.open(`/sessions/${TREE}`);
      await page.getByRole('table', { name: 'Requests' }).locator('.slot .title').first().click();
      await page.locator('dialog .timeline').waitFor();
      assert.match(page.url(), new RegExp(`/sessions/${TREE}\\?id=`));
      await page.keyboard.press('Escape');
      await visit.open('/sessions/of-nobody');
      await page.getByText('The log has no request of this session').waitFor();
    }, [/404/]));

  const keptOf = () => own.sql('SELECT session, count(*) AS n FROM texts JOIN requests USING (id) WHERE head IS NOT NULL GROUP BY session');

  test('has its next request kept on request, and leads to it', () =>
    visiting({}, async (visit, page) => {
      const ask = (session) => own.ask({ session, model: 'claude-cheap', use: [7, 0, 0, 1] });
      const rows = () => own.sql('SELECT count(*) AS n FROM requests')[0].n;
      const before = rows();
      await visit.open(`/sessions/${CHEAP}`);
      const capture = page.getByRole('button', { name: 'Capture the next request' });
      await capture.click();
      await page.getByText(/^Keeps the next request \(until .*, 64 KiB of its body\)$/).waitFor();
      assert.deepEqual(keptOf(), []);
      // Somebody else, who looks at it, sees the wish too; a request of another session is none of it.
      await page.reload();
      await page.getByText(/^Keeps the next request/).waitFor();
      assert.deepEqual(await visit.violations(), []);
      await ask(TREE);
      await ask(CHEAP);
      await ask(CHEAP);
      await page.getByText('A request was kept', { exact: true }).waitFor();
      await own.until('they are in the log', () => rows() === before + 3);
      assert.deepEqual(keptOf(), [{ session: CHEAP, n: 1 }]);
      await page.getByRole('button', { name: 'Show it' }).click();
      const dialog = page.locator('dialog');
      await dialog.getByRole('heading', { name: 'The request as received' }).waitFor();
      await dialog.getByText(/"a question"/).waitFor();
      const [{ id }] = own.sql('SELECT id FROM texts WHERE head IS NOT NULL');
      assert.match(page.url(), new RegExp(`id=${id}`));
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Done' }).click();
      // What is taken back keeps nothing.
      await capture.click();
      await page.getByRole('button', { name: 'Do not keep it' }).click();
      await capture.waitFor();
      await ask(CHEAP);
      await own.until('it is in the log', () => rows() === before + 4);
      assert.deepEqual(keptOf(), [{ session: CHEAP, n: 1 }]);
    }));

  test('says on a phone that its next request will be kept', () =>
    visiting({ locale: 'zh-CN', width: 390 }, async (visit, page) => {
      await visit.open(`/sessions/${TREE}`);
      await page.getByRole('button', { name: '抓取下一个请求' }).click();
      await page.getByText(/^将保留下一个请求/).waitFor();
      assert.deepEqual(await visit.violations(), []);
      assert(await visit.overhang() <= 0);
      await page.getByRole('button', { name: '取消抓取' }).click();
      await page.getByRole('button', { name: '抓取下一个请求' }).waitFor();
    }));

  for (const [locale, theme, width] of [['en-US', 'light', 1440], ['zh-CN', 'dark', 820], ['zh-CN', 'light', 390], ['en-US', 'dark', 390]]) {
    test(`and the list look right (${locale} ${theme} ${width})`, () =>
      visiting({ locale, theme, width }, async (visit) => {
        for (const path of ['/sessions?range=24h', `/sessions/${TREE}`]) {
          await visit.open(path);
          assert.deepEqual(await visit.violations(), []);
          assert(await visit.overhang() <= 0, path);
        }
      }));
  }
});
