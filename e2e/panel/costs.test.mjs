// What people ask of money: how much, who, on what, and what it will come to. A gateway of its own with traffic of known truth;
// the numbers of the page are those that SQL finds in the database.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { answering, Bench, visiting as visitingAt } from './harness.mjs';
import { dollars, IS_BUILT, OwnGateway } from './own_gateway.mjs';

const PAST_ROWS = 4_000;
const SESSION = 'aaaaaaaa-1111-4222-8333-444455556666';
const OTHER_SESSION = 'bbbbbbbb-1111-4222-8333-444455556666';
/** Whom the panel's tests are made for; days begin at 16:00 UTC there. */
const TIME_ZONE = 'Asia/Shanghai';

let own;
let bench;
before(async () => {
  own = await OwnGateway.start({ past: PAST_ROWS });
  bench = await Bench.start({ url: own.url, key: own.key });
  const asked = [
    { session: SESSION, as: 'main', use: [100, 20_000, 0, 400] },
    { session: SESSION, as: 'main', use: [50, 900, 20_000, 300] },
    { session: SESSION, as: 'subagent', agent: 'agent-1', parent: 'main', type: 'Explore', model: 'claude-cheap', use: [2_000, 0, 0, 120] },
    { session: OTHER_SESSION, as: 'main', key: 'sk-far', use: [70, 5_000, 0, 90] },
    { session: OTHER_SESSION, as: 'main', key: 'sk-far', model: 'of-nobody', use: [900, 0, 0, 10] },
    { session: OTHER_SESSION, as: 'main', key: 'sk-far', model: 'of-nobody' },
  ];
  for (const one of asked) await own.ask(one);
  await own.logged(6, '%-1111-4222-8333-444455556666');
});
after(async () => {
  await bench?.stop();
  await own?.stop();
});

const visiting = (options, what, expected) => visitingAt(bench, { timezoneId: TIME_ZONE, ...options }, what, expected);
async function nav(page, name) {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}
/** When a day began where the reader is. */
const dayStart = (page, days = 0) => page.evaluate((back) => new Date(new Date().getFullYear(), new Date().getMonth(), new Date().getDate() + back).getTime(), days);
const figure = (page, at) => page.locator('.figure').nth(at).locator('.value').innerText();
const tab = (page, name) => page.locator('.dimensions').getByText(name, { exact: true }).click();
const range = (page, name) => page.locator('.picker').getByText(name, { exact: true }).click();
/** Each row's cells, by the first one. */
async function table(visit) {
  await visit.settled();
  const rows = await visit.page.locator('.table tbody tr').evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText.trim())));
  return new Map(rows.map(([name, ...cells]) => [name, cells]));
}

const COLUMNS = {
  Model: 'coalesce(model, model_asked)', Key: 'substr(key_fingerprint, 1, 8)', Session: 'substr(session, 1, 8)', Upstream: 'upstream', 'Agent type': 'agent_type', Client: 'client',
};

describe('costs', { skip: !IS_BUILT }, () => {
  for (const [name, column] of Object.entries(COLUMNS)) {
    test(`of today by ${name.toLowerCase()} are three clicks away, and are those of SQL`, () =>
      visiting({}, async (visit, page) => {
        await visit.open('/');
        await nav(page, 'Costs');
        await range(page, 'Today');
        await tab(page, name);
        await page.getByRole('columnheader', { name }).first().waitFor();
        await page.waitForFunction((title) => document.querySelector('.table thead th')?.innerText.trim() === title, name);
        const since = await dayStart(page);
        const found = own.sql(`SELECT ${column} AS name, sum(cost_nano) AS cost, count(*) AS n FROM requests WHERE started_ms >= ? GROUP BY 1`, since);
        await page.waitForFunction((rows) => document.querySelectorAll('.table tbody tr').length === rows, found.length);
        const shown = await table(visit);
        assert.equal(shown.size, found.length);
        for (const { name: group, cost, n } of found) {
          const [shownCost, , requests] = shown.get(group ?? 'none');
          assert.equal(requests, n.toLocaleString('en-US'), group);
          assert.equal(shownCost.split('\n')[0].replace('≥ ', ''), cost === null ? '–' : dollars(cost / 1e9), group);
        }
      }));
  }

  test('of yesterday, this week and this month are two clicks away, and are those of SQL', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await nav(page, 'Costs');
      const weekday = await page.evaluate(() => (new Date().getDay() + 6) % 7);
      const month = await page.evaluate(() => new Date(new Date().getFullYear(), new Date().getMonth(), 1).getTime());
      const spans = [['Yesterday', await dayStart(page, -1), await dayStart(page)], ['This week', await dayStart(page, -weekday), 9e15], ['This month', month, 9e15]];
      for (const [name, from, to] of spans) {
        await range(page, name);
        const [{ cost, n }] = own.sql('SELECT sum(cost_nano) AS cost, count(*) AS n FROM requests WHERE started_ms >= ? AND started_ms < ?', from, to);
        await page.locator('.figure').first().getByText(dollars((cost ?? 0) / 1e9)).waitFor();
        await page.locator('.table tfoot').getByText(n < 10_000 ? n.toLocaleString('en-US') : /./, { exact: true }).first().waitFor();
      }
    }));

  test('of any span are what SQL finds in it', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await nav(page, 'Costs');
      await page.locator('.picker .menu > button').click();
      const [from, to] = [await dayStart(page, -9), await dayStart(page, -4)];
      const local = (at) => page.evaluate((ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16), at);
      await page.getByLabel('From').fill(await local(from));
      await page.getByLabel('To', { exact: true }).fill(await local(to));
      await page.getByRole('button', { name: 'Apply' }).click();
      const [{ cost }] = own.sql('SELECT sum(cost_nano) AS cost FROM requests WHERE started_ms >= ? AND started_ms < ?', from, to);
      await page.locator('.figure').first().getByText(dollars(cost / 1e9)).waitFor();
    }));

  test('have the tokens by kind, the share of the cache and what a request costs', () =>
    visiting({}, async (visit, page) => {
      await visit.open(`/costs?range=today&by=session`);
      const cells = (await table(visit)).get('aaaaaaaa');
      // 100 + 50 + 2,000 in, 20,900 written, 20,000 read, 820 out.
      const cost = (150 * 10 + 20_900 * 12 + 20_000 * 1 + 700 * 50 + 2_000 * 1 + 120 * 5) / 1e6;
      assert.deepEqual([cells[0], ...cells.slice(2)], [dollars(cost), '3', dollars(cost / 3), '46.5%', '2,150', '20.9K', '20K', '820']);
      const sum = own.sql('SELECT sum(cost_nano) AS cost FROM requests WHERE session = ?', SESSION)[0].cost;
      assert.equal(Math.round(cost * 1e9), sum);
    }));

  test('are sorted by any column, both ways', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/costs?range=30d&by=upstream');
      const costs = async () => [...(await table(visit)).values()].map((cells) => Number(cells[2].replaceAll(',', '').replace(/K$/, '000')));
      await page.getByRole('button', { name: 'Requests' }).click();
      const down = await costs();
      assert.deepEqual(down, [...down].sort((a, b) => b - a));
      assert.equal(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'descending');
      await page.getByRole('button', { name: 'Requests' }).click();
      assert.deepEqual(await costs(), [...down].reverse());
      await page.reload();
      await visit.settled();
      assert.equal(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'ascending');
    }));

  for (const [by, name, count] of [['key', null, 3], ['session', 'bbbbbbbb', 3], ['agent_type', 'Explore', 1], ['client', '127.0.0.1', 6]]) {
    test(`lead to the requests behind them (${by})`, () =>
      visiting({}, async (visit, page) => {
        const since = own.sql('SELECT min(started_ms) AS at FROM requests WHERE session IN (?, ?)', SESSION, OTHER_SESSION)[0].at;
        await visit.open(`/costs?range=custom&from=${since}&by=${by}`);
        const wanted = name ?? own.sql('SELECT substr(key_fingerprint, 1, 8) AS key FROM requests WHERE session = ?', OTHER_SESSION)[0].key;
        await page.getByRole('row').filter({ hasText: wanted }).locator('td').nth(3).getByRole('link').click();
        await page.waitForURL(/\/requests\?/);
        await page.getByText(`That is all: ${count} request`).waitFor();
      }));
  }

  /** A request of nobody: without key, session or kind of agent, from another address of this machine. */
  const askBare = (path, body, key) => new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', 'x-use': '10,0,0,5', ...(key && { authorization: `Bearer ${key}` }) };
    const asked = httpRequest(`${own.url}${path}`, { method: 'POST', headers, localAddress: '127.0.0.2' }, (answer) => answer.resume().on('end', resolve));
    asked.on('error', reject).end(JSON.stringify(body));
  });

  test('lead to exactly the requests behind them, by whatever they are summed up, also without a name', { timeout: 240_000 }, () =>
    visiting({}, async (visit, page) => {
      const message = { model: 'claude-cheap', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
      const before = own.sql('SELECT count(*) AS n FROM requests')[0].n;
      await askBare('/v1/messages', message);
      await askBare('/v1/messages', message, 'sk-near');
      await askBare('/v1/nothing', {}, 'sk-near');
      await own.until('they are in the log', () => own.sql('SELECT count(*) AS n FROM requests')[0].n === before + 3);
      const since = own.sql('SELECT min(started_ms) AS at FROM requests WHERE session IN (?, ?)', SESSION, OTHER_SESSION)[0].at;
      // Sums begin with a whole minute, and lists with any moment.
      const from = since - (since % 60_000);
      const unnamed = [];
      for (const [by, column] of [['client', 'client'], ['key', 'key_fingerprint'], ['session', 'session'], ['agent_type', 'agent_type'], ['request_class', 'request_class'], ['model', 'coalesce(model, model_asked)']]) {
        const url = `/costs?range=custom&from=${from}&by=${by}`;
        await visit.open(url);
        const rows = [...(await table(visit)).entries()];
        const found = own.sql(`SELECT ${column} AS name, count(*) AS n FROM requests WHERE started_ms >= ? GROUP BY 1`, from);
        assert.deepEqual(rows.map(([, cells]) => Number(cells[2])).sort(), found.map(({ n }) => n).sort(), by);
        for (const [name, cells] of rows) {
          if (name === 'none') unnamed.push(by);
          await page.getByRole('row').filter({ has: page.getByRole('cell', { name, exact: true }) }).locator('td').nth(3).getByRole('link').click();
          await page.waitForURL(/\/requests\?/);
          await page.getByText(`That is all: ${cells[2]} request`).waitFor();
          await page.goBack();
          await page.waitForURL(/\/costs\?/);
          await visit.settled();
        }
      }
      for (const by of ['key', 'session', 'agent_type', 'request_class', 'model']) assert(unnamed.includes(by), by);
      // What has no value is said, and can be asked for no more.
      await visit.open(`/requests?range=custom&from=${from}&without=session&client=127.0.0.2`);
      await page.getByText('That is all: 3 requests').waitFor();
      assert.deepEqual(await visit.violations(), []);
      await page.getByRole('button', { name: 'Remove the filter: Session' }).click();
      await page.waitForURL((url) => !url.search.includes('without'));
    }));

  test('are charted by the chosen dimension', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/costs?range=today&by=session');
      const [label] = await page.locator('.chart [role=img]').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')));
      assert.match(label, /^Cost over time, by Session\. .*aaaaaaaa: \$\d/);
    }));

  test('are forecast for the day and the month, beginning with what was spent', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/costs?range=today');
      await page.locator('.figure.month').getByText(/so far/).first().waitFor();
      const since = { day: await dayStart(page), month: await page.evaluate(() => new Date(new Date().getFullYear(), new Date().getMonth(), 1).getTime()) };
      for (const [key, from] of Object.entries(since)) {
        const [{ cost }] = own.sql('SELECT sum(cost_nano) AS cost FROM requests WHERE started_ms >= ?', from);
        const said = await page.locator(`.figure.${key}`).innerText();
        assert(said.includes(`${dollars(cost / 1e9)} so far`), `${said}: ${dollars(cost / 1e9)}`);
        const expected = Number(/≈ \$([\d,.]+)/.exec(said)[1].replaceAll(',', ''));
        assert(expected >= Number((cost / 1e9).toFixed(2)), said);
      }
    }));

  test('are saved as they are seen', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/costs?range=today&by=model');
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'As CSV' }).click()]);
      assert.match(download.suggestedFilename(), /^costs Model \d{4}-\d\d-\d\d 00-00 to .*\.csv$/);
      const text = readFileSync(await download.path(), 'utf8');
      assert.equal(text.codePointAt(0), 0xfeff);
      const [head, ...lines] = text.slice(1).trim().split('\r\n').map((line) => line.split(','));
      assert.deepEqual(head.slice(0, 4), ['Model', 'Name', 'Cost (USD)', 'Requests without a price']);
      const since = await dayStart(page);
      const [{ cost }] = own.sql("SELECT sum(cost_nano) AS cost FROM requests WHERE started_ms >= ? AND model = 'claude-dear'", since);
      assert.equal(Math.round(Number(lines.find(([model]) => model === 'claude-dear')[2]) * 1e9), cost);
    }));

  test('say what has no price, with the form for it, and have it in them afterwards', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await nav(page, 'Costs');
      await range(page, 'Today');
      const notice = page.locator('.unpriced');
      const unpriced = notice.locator('li').filter({ hasText: 'of-nobody' });
      await unpriced.getByText('of-nobody (1)').waitFor();
      assert.deepEqual(await visit.violations(), []);
      await unpriced.getByRole('button', { name: 'Set a price' }).click();
      const dialog = page.locator('dialog');
      await dialog.getByLabel('Input', { exact: true }).fill('2');
      await dialog.getByLabel('Output', { exact: true }).fill('10');
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('button', { name: 'Apply' }).click();
      await dialog.getByRole('button', { name: 'Recalculate' }).click();
      await dialog.getByText('Recalculated').waitFor();
      await dialog.getByRole('button', { name: 'Close' }).last().click();
      await unpriced.waitFor({ state: 'detached' });
      const cost = (900 * 2 + 10 * 10) / 1e6;
      assert.equal(own.sql("SELECT cost_nano AS cost FROM requests WHERE model = 'of-nobody' AND cost_nano IS NOT NULL")[0].cost, Math.round(cost * 1e9));
      await page.getByRole('row').filter({ hasText: 'of-nobody' }).getByText(dollars(cost)).first().waitFor();
    }));

  test('of what has no name, or is counted without one, lead to those requests, or nowhere', () =>
    visiting({}, async (visit, page) => {
      await answering(page, 'stats/groups?by=model*', (answer) => {
        const [first] = answer.groups;
        return { ...answer, groups: [first, { ...first, name: 'other' }, { ...first, name: null }] };
      });
      for (const path of ['/?range=30d', '/costs?range=30d&by=model']) {
        await visit.open(path);
        const row = (name) => page.getByRole('row').filter({ has: page.locator('td:first-child').getByText(name, { exact: true }) });
        const others = row('others').first();
        await others.waitFor();
        assert.equal(await others.getByRole('link').count(), 0, path);
        const nameless = row('none').getByRole('link').first();
        assert.match(await nameless.getAttribute('href'), /without=model/, path);
      }
    }));

  for (const [locale, theme, width] of [['en-US', 'light', 1440], ['zh-CN', 'dark', 820], ['zh-CN', 'light', 390], ['en-US', 'dark', 390]]) {
    test(`look right (${locale} ${theme} ${width})`, () =>
      visiting({ locale, theme, width }, async (visit) => {
        await visit.open('/costs?range=30d&by=key');
        assert.deepEqual(await visit.violations(), []);
        assert(await visit.overhang() <= 0);
      }));
  }
});
