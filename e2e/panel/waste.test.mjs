// What people ask of prompt caches: which sessions lost theirs, why, and what it cost. A gateway of its own with conversations whose
// losses are known beforehand; the numbers of the pages are those, and those that SQL finds in the database.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench, visiting as visitingAt } from './harness.mjs';
import { dollars, IS_BUILT, OwnGateway } from './own_gateway.mjs';

const TAIL = '-1111-4222-8333-444455556666';
/** Of the prices in own_gateway.mjs: what a million tokens cost more to write than to read. */
const DEARER = { 'claude-dear': 11, 'claude-cheap': 1.15 };
const WORDS = {
  'en-US': {
    nav: 'Wasted cache', sessions: 'Sessions', today: 'Today', title: 'Session', unpriced: 'Its model has no price', none: 'No cache was wasted in this time',
    causes: {
      tools_changed: 'The client changed its tools', system_changed: 'The client changed its system prompt', history_changed: 'The client changed the history', model_changed: 'Other model',
      upstream_changed: 'Other upstream', compaction: 'Compaction', unexplained: 'Unexplained',
    },
    mark: (cause, tokens, cost) => `Cache lost: ${cause}, ${tokens} tokens, ${cost}`, all: (count) => `That is all: ${count} request`, prevent: 'Connect MCP servers',
  },
  'zh-CN': {
    nav: '缓存浪费', sessions: '会话', today: '今天', title: '会话', unpriced: '其模型没有价格', none: '该时段没有浪费缓存',
    causes: {
      tools_changed: '客户端改变了工具', system_changed: '客户端改变了系统提示词', history_changed: '客户端改变了历史消息', model_changed: '换了模型', upstream_changed: '换了上游', compaction: '压缩上下文',
      unexplained: '原因不明',
    },
    mark: (cause, tokens, cost) => `缓存失效：${cause}，${tokens} token，${cost}`, all: (count) => `已到末尾：共 ${count} 个请求`, prevent: '请在对话开始前连接好 MCP 服务器',
  },
};

const text = (content, more = {}) => ({ type: 'text', text: content, ...more });
const mark = { cache_control: { type: 'ephemeral' } };

/** A conversation as Claude Code has it, whose upstream tells what is asked for: [input, cache write, cache read, output]. */
class Talk {
  constructor(own, name, model = 'claude-dear') {
    Object.assign(this, { own, session: `${name.padEnd(8, '0')}${TAIL}`, model, tools: ['read', 'write'], system: 'you are', messages: [] });
  }

  async ask(use, more = {}) {
    this.messages.push({ role: 'user', content: [text(`message ${this.messages.length}`, mark)] });
    const body = {
      system: [text(this.system, mark)], tools: this.tools.map((name) => ({ name, description: `${name} ${this.session}` })), messages: this.messages,
    };
    assert.equal(await this.own.ask({ session: this.session, as: 'main', model: this.model, use, body, ...more }), 200);
    this.messages.push({ role: 'assistant', content: [text(`reply ${this.messages.length} ${'so it is '.repeat(12)}`)] });
  }
}

/** What each conversation lost: session, cause, tokens and model, in the order of the requests. */
const truth = [];
const lost = (talk, cause, tokens, model = talk.model) => truth.push({ session: talk.session, cause, tokens, usd: model in DEARER ? (tokens * DEARER[model]) / 1e6 : null });

async function converse(own, bench) {
  await Promise.all([goesOn, toolsAndSystem, history, model, forgotten, unpriced, compacted].map((one) => one(own)));
  await moved(own, bench);
}

async function goesOn(own) {
  const talk = new Talk(own, 'f1');
  await talk.ask([3, 17_000, 0, 9]);
  await talk.ask([3, 1_500, 17_000, 9]);
}

async function toolsAndSystem(own) {
  const talk = new Talk(own, 'a1');
  await talk.ask([3, 117_000, 0, 9]);
  talk.tools.unshift('new');
  await talk.ask([3, 118_500, 0, 9]);
  lost(talk, 'tools_changed', 117_000);
  talk.tools.shift();
  await talk.ask([3, 120_000, 0, 9]);
  lost(talk, 'tools_changed', 118_500);
  talk.system = 'today is the 2nd';
  await talk.ask([3, 11_500, 110_000, 9]);
  lost(talk, 'system_changed', 10_000);
}

async function history(own) {
  const talk = new Talk(own, 'b1');
  await talk.ask([3, 17_000, 0, 9]);
  await talk.ask([3, 1_500, 17_000, 9]);
  talk.messages[0] = { role: 'user', content: [text('otherwise', mark)] };
  await talk.ask([3, 5_000, 14_500, 9]);
  lost(talk, 'history_changed', 4_000);
}

async function model(own) {
  const talk = new Talk(own, 'c1');
  await talk.ask([3, 17_000, 0, 9]);
  talk.model = 'claude-cheap';
  await talk.ask([3, 18_500, 0, 9]);
  lost(talk, 'model_changed', 17_000);
}

async function forgotten(own) {
  const talk = new Talk(own, 'd1');
  await talk.ask([3, 21_000, 0, 9]);
  await talk.ask([3, 22_500, 0, 9]);
  lost(talk, 'unexplained', 21_000);
}

async function unpriced(own) {
  const talk = new Talk(own, 'e1', 'of-nobody');
  await talk.ask([3, 9_000, 0, 9]);
  await talk.ask([3, 9_500, 0, 9]);
  lost(talk, 'unexplained', 9_000);
}

async function compacted(own) {
  const talk = new Talk(own, 'a2');
  await talk.ask([3, 17_000, 0, 9]);
  await talk.ask([3, 1_500, 17_000, 9]);
  talk.messages = [{ role: 'user', content: [text('This session is being continued from a previous conversation')] }, { role: 'assistant', content: [text('a summary')] }];
  talk.messages.push(...talk.messages.splice(0));
  await talk.ask([3, 4_000, 15_000, 9], { headers: { 'x-claude-code-context-compacted': 'manual' } });
  lost(talk, 'compaction', 3_500);
}

async function moved(own, bench) {
  const talk = new Talk(own, 'b2');
  await talk.ask([3, 40_000, 0, 9]);
  const visit = await bench.visit();
  const change = async (what) => assert.equal((await visit.context.request.post(`${own.url}/api/admin/upstreams/near/${what}`, { data: {} })).status(), 200);
  await change('drain');
  await talk.ask([3, 41_000, 0, 9]);
  await change('enable');
  await visit.close();
  lost(talk, 'upstream_changed', 40_000);
}

let own;
let bench;
before(async () => {
  own = await OwnGateway.start();
  bench = await Bench.start({ url: own.url, key: own.key });
  await converse(own, bench);
  await own.until('all that was lost is in the log', () => own.sql('SELECT count(*) AS n FROM requests WHERE waste_cause IS NOT NULL')[0].n >= truth.length);
});
after(async () => {
  await bench?.stop();
  await own?.stop();
});

const visiting = (options, what, expected) => visitingAt(bench, { timezoneId: 'Asia/Shanghai', ...options }, what, expected);
const nav = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
const number = (locale, value) => value.toLocaleString(locale);
/** As the panel writes counts. */
const compact = (locale, value) => (value < 10_000 ? number(locale, value) : new Intl.NumberFormat(locale, { notation: 'compact', maximumSignificantDigits: 3 }).format(value));
const sum = (some) => some.reduce((all, { usd, tokens }) => ({ usd: all.usd + (usd ?? 0), tokens: all.tokens + tokens }), { usd: 0, tokens: 0 });
/** Billionths, as the database has them. */
const nano = (usd) => Math.round(usd * 1e9);
const cellsOf = (rows) => rows.evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText.trim())));

describe('what the prompt cache lost', { skip: !IS_BUILT }, () => {
  test('is in the database as it was made', () => {
    const found = own.sql('SELECT session, waste_cause AS cause, waste_tokens AS tokens, waste_nano AS nano FROM requests WHERE waste_cause IS NOT NULL ORDER BY session, waste_tokens');
    const wanted = truth.toSorted((a, b) => (a.session < b.session ? -1 : a.session > b.session ? 1 : a.tokens - b.tokens)).map(({ usd, ...one }) => ({ ...one, nano: usd === null ? null : nano(usd) }));
    assert.deepEqual(found, wanted);
  });

  for (const [locale, words] of Object.entries(WORDS)) {
    test(`is three clicks away: which sessions, why, and how much (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await visit.open('/');
        await nav(page, words.nav);
        await page.locator('.picker').getByText(words.today, { exact: true }).click();
        await page.waitForURL(/\/waste\?.*range=today/);
        const [all] = own.sql('SELECT count(*) AS n, sum(waste_tokens) AS tokens, sum(waste_nano) AS nano FROM requests WHERE waste_cause IS NOT NULL');
        await visit.settled();
        const totals = await page.locator('.totals dd:not(.note)').allInnerTexts();
        assert.deepEqual(totals, [dollars(all.nano / 1e9), compact(locale, all.tokens), number(locale, all.n)]);

        const causes = own.sql('SELECT waste_cause AS cause, count(*) AS n, sum(waste_tokens) AS tokens, sum(waste_nano) AS nano FROM requests WHERE waste_cause IS NOT NULL GROUP BY 1 ORDER BY 4 DESC');
        const cards = await page.locator('.cause').evaluateAll((all_) => all_.map((card) => card.querySelector('header').innerText.split('\n').map((line) => line.trim()).filter(Boolean).join(' | ')));
        assert.equal(cards.length, causes.length);
        for (const [index, { cause, n, tokens, nano: cost }] of causes.entries()) {
          for (const part of [words.causes[cause], dollars(cost / 1e9), number(locale, n), compact(locale, tokens)]) assert(cards[index].includes(part), `${part} in ${cards[index]}`);
        }

        const sessions = own.sql('SELECT session, count(*) AS n, sum(waste_tokens) AS tokens, sum(waste_nano) AS nano FROM requests WHERE waste_cause IS NOT NULL GROUP BY 1 ORDER BY 4 DESC, 3 DESC');
        const shown = (await cellsOf(page.locator('.table tbody tr'))).map((cells) => [cells[0], ...cells.slice(2, 5)]);
        assert.deepEqual(shown, sessions.map(({ session, n, tokens, nano: cost }) => [
          session.slice(0, 8), cost === null ? '–' : dollars(cost / 1e9), compact(locale, tokens), number(locale, n),
        ]));

        const [dearest] = sessions;
        await page.locator('.table').getByRole('link', { name: dearest.session.slice(0, 8) }).click();
        await page.getByRole('heading', { level: 1, name: new RegExp(`${words.title} ${dearest.session.slice(0, 8)}`) }).waitFor();
        const section = page.locator('#waste');
        await section.locator('table').waitFor();
        // It is what one sees there.
        await page.waitForFunction(() => {
          const { top } = document.querySelector('#waste').getBoundingClientRect();
          return top >= 0 && top < innerHeight / 2;
        });
        const requests = own.sql('SELECT waste_cause AS cause, waste_tokens AS tokens, waste_nano AS nano FROM requests WHERE session = ? AND waste_cause IS NOT NULL ORDER BY started_ms', dearest.session);
        const rows = (await cellsOf(section.locator('tbody tr'))).map((cells) => [cells[1], cells[4], cells[5]]);
        const inOrder = (some) => some.map((row) => row.join(' ')).sort();
        assert.deepEqual(inOrder(rows), inOrder(requests.map(({ cause, tokens, nano: cost }) => [words.causes[cause], compact(locale, tokens), dollars(cost / 1e9)])));
        await section.getByText(words.causes.tools_changed).last().click();
        await section.getByText(words.prevent).waitFor();
      }));

    test(`orders the sessions, two clicks from the dashboard (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await visit.open('/');
        await nav(page, words.sessions);
        await page.getByRole('columnheader', { name: words.nav }).getByRole('button').click();
        await page.waitForURL(/sort=waste/);
        const [dearest] = own.sql('SELECT session, sum(waste_nano) AS nano, sum(waste_tokens) AS tokens FROM requests GROUP BY 1 ORDER BY 2 DESC LIMIT 1');
        await page.waitForFunction((name) => document.querySelector('.slot .title')?.textContent.trim() === name, dearest.session.slice(0, 8));
        assert.equal((await page.locator('.slot .waste').first().innerText()).replaceAll('\n', ' '), `${dollars(dearest.nano / 1e9)} ${compact(locale, dearest.tokens)}`);
      }));

    for (const width of [1440, 390]) {
      test(`is marked in the lists, with cause and dollars, and the mark leads to help (${locale} ${width})`, () =>
        visiting({ locale, width }, async (visit, page) => {
          const name = ({ cause, tokens, usd }) => words.mark(words.causes[cause], number(locale, tokens), usd === null ? words.unpriced.replace(/^Its/, 'its') : dollars(usd));
          /** Of all rows: those out of sight do not exist. */
          const marksOf = async (list, count) => {
            const found = new Set();
            await page.waitForFunction(() => !document.querySelector('.list [aria-busy=true]'));
            for (let top = 0; found.size < count && top < 4_000; top += 300) {
              await list.locator('.scroller').evaluate((scroller, to) => { scroller.scrollTop = to; }, top);
              await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
              for (const name_ of await list.locator('.waste-mark .visually-hidden').allTextContents()) found.add(name_);
            }
            await list.locator('.scroller').evaluate((scroller) => { scroller.scrollTop = 0; });
            return [...found].sort();
          };
          await visit.open('/requests');
          const list = page.locator('.list');
          assert.deepEqual(await marksOf(list, truth.length), truth.map(name).sort());
          assert.deepEqual(await visit.violations(), []);
          assert(await visit.overhang() <= 0);
          const wanted = truth.find(({ cause }) => cause === 'tools_changed');
          const shown = list.getByRole('button', { name: name(wanted) });
          await page.waitForFunction(() => document.querySelector('.scroller').scrollTop === 0);
          while (await shown.count() === 0) await list.locator('.scroller').evaluate((scroller) => { scroller.scrollTop += 100; });
          await shown.scrollIntoViewIfNeeded();
          assert.match(await shown.innerText(), new RegExp(`${words.causes.tools_changed}\\s*\\${dollars(wanted.usd)}`));
          await shown.click();
          const help = page.locator('dialog .waste');
          await help.getByText(words.prevent).waitFor();
          await help.getByText(dollars(wanted.usd)).waitFor();
          assert.deepEqual(await visit.violations(), []);
          await help.getByRole('link').click();
          await page.waitForURL(new RegExp(`/sessions/${wanted.session}#waste`));
          const own_ = truth.filter(({ session }) => session === wanted.session);
          await page.locator('.list .waste-mark').first().waitFor();
          assert.deepEqual(await marksOf(page.locator('.list'), own_.length), own_.map(name).sort());
        }));
    }
  }

  test('leads to the requests behind each number', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/waste?range=today');
      await page.locator('.cause').filter({ hasText: 'The client changed its tools' }).getByRole('link').click();
      await page.getByText('That is all: 2 requests').waitFor();
      await visit.open('/waste?range=today');
      await page.getByRole('row').filter({ hasText: 'a1000000' }).getByRole('link', { name: '3', exact: true }).click();
      await page.getByText('That is all: 3 requests').waitFor();
      assert.equal(await page.locator('.list .waste-mark').count(), 3);
    }));

  test('says so where nothing was lost', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/waste?range=yesterday');
      await page.getByText(WORDS['en-US'].none).waitFor();
      assert.deepEqual(await visit.violations(), []);
    }));

  test('scrolls to what a session lost from its figures, again and again', () =>
    visiting({ width: 390 }, async (visit, page) => {
      const { session } = truth.find(({ usd }) => usd !== null);
      await visit.open(`/sessions/${session}`);
      const isInView = () => page.waitForFunction(() => {
        const { top } = document.querySelector('#waste').getBoundingClientRect();
        return top >= 0 && top < innerHeight / 2;
      });
      for (let time = 0; time < 2; time += 1) {
        await page.evaluate(() => scrollTo(0, 0));
        await page.locator('.totals').getByRole('link', { name: dollars(sum(truth.filter((one) => one.session === session)).usd) }).click();
        await isInView();
      }
    }));

  for (const [locale, theme, width] of [['en-US', 'light', 1440], ['zh-CN', 'dark', 820], ['zh-CN', 'light', 390], ['en-US', 'dark', 390]]) {
    test(`looks right (${locale} ${theme} ${width})`, () =>
      visiting({ locale, theme, width }, async (visit) => {
        for (const path of ['/waste?range=today', `/sessions/${truth[0].session}`]) {
          await visit.open(path);
          assert.deepEqual(await visit.violations(), []);
          assert(await visit.overhang() <= 0, path);
        }
      }));
  }
});
