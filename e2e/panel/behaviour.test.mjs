// What people do with the panel, from the first look to an edit that meets another one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { answering, Bench, FIRST, IS_MOCK, keepingOverlay, KEY, visiting as visitingAt } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);

describe('requests', () => {
  test('filters stand in the URL, narrow the list, and survive a reload', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      const all = await page.locator('[data-index]').count();
      assert(all > 5);
      await page.getByRole('button', { name: 'Outcome' }).click();
      await page.getByRole('checkbox', { name: 'Completed' }).check();
      await page.waitForURL(/outcome=completed/);
      await page.keyboard.press('Escape');
      await page.getByRole('searchbox').fill('sonnet');
      await page.waitForURL(/q=sonnet/);
      await page.reload();
      await visit.settled();
      assert.equal(await page.getByRole('searchbox').inputValue(), 'sonnet');
      for (const text of await page.locator('[data-index] .model .title').allInnerTexts()) assert.match(text, /sonnet/);
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await page.waitForURL((url) => !url.search.includes('outcome') && !url.search.includes('q='));
    }));

  test('what Claude Code says of a request is a filter, a chip in the list and a fact, in both languages', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      await page.getByRole('button', { name: 'Request class' }).click();
      await page.getByRole('checkbox', { name: 'sub-agent' }).check();
      await page.waitForURL(/request_class=subagent/);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Agent type' }).click();
      await page.getByRole('checkbox', { name: 'Explore' }).check();
      await page.waitForURL(/agent_type=Explore/);
      await page.keyboard.press('Escape');
      await visit.settled();
      // The list has the former rows until its answer is there.
      await page.waitForFunction(() => {
        const chips = [...document.querySelectorAll('[data-index] .chips')];
        return chips.length > 0 && chips.every((chip) => chip.textContent.includes('Explore'));
      });
      await page.locator('[data-index] .title').first().click();
      const fact = (name) => page.locator('.facts div', { hasText: name }).locator('dd').innerText();
      assert.deepEqual([await fact('Request class'), await fact('Agent type')], ['sub-agent', 'Explore']);
      await page.evaluate(() => localStorage.setItem('panel.locale', 'zh-CN'));
      await page.reload();
      await visit.settled();
      assert.deepEqual([await fact('请求类别'), await fact('代理类型')], ['子代理', 'Explore']);
    }));

  test('what sub-agents cost is on the dashboard, and leads to their requests and to those of one prompt', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/?range=30d');
      const row = page.getByRole('table', { name: 'Request classes' }).getByRole('row', { name: /sub-agent/ });
      assert.match(await row.innerText(), /\$/);
      await row.getByRole('link').click();
      await page.waitForURL(/request_class=subagent/);
      // Not every client names the prompt; those that name the kind of agent do.
      await page.goto(`${page.url()}&agent_type=Explore`);
      await visit.settled();
      await page.locator('[data-index] .title').first().click();
      await page.getByRole('link', { name: 'Requests of this prompt' }).click();
      await page.waitForURL(/requests\?prompt_id=/);
      await visit.settled();
      assert(await page.locator('[data-index]').count() > 0);
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await page.waitForURL((url) => !url.search.includes('prompt_id'));
    }));

  test('a team gets settings without a key, and each place to copy', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/connect');
      await page.getByRole('radio', { name: 'Team' }).check({ force: true });
      await page.waitForURL(/client=team/);
      const shared = page.locator('figure', { hasText: 'managed-settings.json' }).locator('pre');
      const { env } = JSON.parse(await shared.innerText());
      assert.equal(env.CLAUDE_CODE_GATEWAY_HINT_HEADERS, '1');
      assert(!('ANTHROPIC_AUTH_TOKEN' in env), 'everybody has an own key');
      assert.match(env.ANTHROPIC_BASE_URL, /^http:\/\/ADDRESS-OF-THE-GATEWAY:\d+$/, 'others cannot reach 127.0.0.1');
      for (const path of ['/etc/claude-code', '/Library/Application Support/ClaudeCode', 'C:\\Program Files\\ClaudeCode']) {
        assert.equal(await page.locator('dd', { hasText: path }).getByRole('button', { name: 'Copy' }).count(), 1, path);
      }
    }));

  test('the list goes on and on, but only the rows in sight exist', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      await page.getByRole('button', { name: 'Pause' }).click();
      for (let rows = 1000; rows <= 5000; rows += 1000) {
        await page.waitForFunction((wanted) => {
          const scroller = document.querySelector('.scroller');
          scroller.scrollTo(0, scroller.scrollHeight);
          return Number([...scroller.querySelectorAll('[data-index]')].at(-1)?.dataset.index) >= wanted;
        }, rows);
        assert(await page.locator('[data-index]').count() < 60);
      }
      await page.locator('.scroller').evaluate((element) => element.scrollTo(0, 2500 * element.querySelector('[data-index]').offsetHeight));
      await page.locator('[data-index="2505"]').waitFor();
      assert(await page.locator('[data-index]').count() < 60);
    }));

  test('the keyboard opens a request, walks the rows, and comes back to where it was', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests');
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.locator('[data-index="0"] button').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      assert.equal(await page.evaluate(() => document.activeElement.closest('[data-index]').dataset.index), '2');
      await page.keyboard.press('Enter');
      await page.locator('dialog .timeline').waitFor();
      assert.match(page.url(), /id=/);
      await page.keyboard.press('Escape');
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert.equal(await page.evaluate(() => document.activeElement.closest('[data-index]')?.dataset.index), '2');
    }));

  test('a request leads to its session and back', () =>
    visiting({}, async (visit, page) => {
      const { requests } = await visit.api('requests?limit=200');
      const row = requests.find((one) => one.session !== null);
      await visit.open(`/requests?id=${row.id}`);
      await page.getByRole('link', { name: 'The whole session' }).click();
      await page.waitForURL(/\/sessions\//);
      await visit.settled();
      await page.getByText(row.session, { exact: true }).waitFor();
      await page.getByRole('link', { name: 'Requests of this session' }).click();
      await page.waitForURL(/requests\?session=/);
    }));

  test('one that reached no upstream was not passed on', () =>
    visiting({}, async (visit, page) => {
      const { requests } = await visit.api('requests?limit=1');
      await answering(page, `requests/${requests[0].id}`, (row) => ({
        ...row, outcome: 'unreachable', status: 502, cause: 'unreachable', reason: 'connect_refused', error_message: null, connect_ms: null, first_byte_ms: null, first_token_ms: null, tokens: null, rules: [], tried: [],
      }));
      await visit.open(`/requests?id=${requests[0].id}`);
      await page.getByText('None: nothing was sent to an upstream.').waitFor();
      await page.locator('dialog').getByText('The upstream refused the connection').waitFor();
    }));

  for (const [locale, said] of [['en-US', 'Estimated: the response ended'], ['zh-CN', '估算值']]) {
    test(`one whose output is estimated says so, and shows its key in short (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        const { requests } = await visit.api('requests?limit=1');
        const key = '0a1b2c3d4e5f6071';
        const tokens = { input: 100, output: 4321, cache_write: 0, cache_read: 0 };
        await answering(page, `requests/${requests[0].id}`, (row) => ({ ...row, key, tokens, estimated: true, cost_usd: 0.5 }));
        await visit.open(`/requests?id=${requests[0].id}`);
        await page.locator('dialog').getByText(said).waitFor();
        await page.locator('dialog').getByText(/≈ 4,321/).waitFor();
        const short = page.locator('dialog').getByText('0a1b2c3d', { exact: true });
        assert.equal(await short.getAttribute('title'), key);
      }));
  }

  test('one that is not in the log says so', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests?id=req_none');
      await page.getByText('This request is not in the log').waitFor();
    }, [/404/]));

  test('rows can be taken away as a file', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests?outcome=completed');
      await page.getByRole('button', { name: 'Export' }).click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'As CSV' }).click()]);
      assert.match(download.suggestedFilename(), /\.csv$/);
    }));
});

describe('comfort', () => {
  test('language and colours are chosen, remembered, and change what is painted', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await page.getByText('中文', { exact: true }).first().click();
      await page.getByRole('heading', { name: '总览' }).waitFor();
      await page.locator('label[title="深色"]').first().click();
      await page.reload();
      await page.getByRole('heading', { name: '总览' }).waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
      const stored = await page.evaluate(() => Object.keys(localStorage).sort());
      assert.deepEqual(stored, ['panel.locale', 'panel.theme']);
    }));

  test('the live connection is seen to go and to come back', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/');
      await page.getByText('Live', { exact: true }).first().waitFor();
      await page.context().setOffline(true);
      let tries = 0;
      await page.route('**/api/admin/live', (route) => {
        tries += 1;
        return route.abort();
      });
      await page.evaluate(() => window.dispatchEvent(new Event('offline')));
      await page.reload().catch(() => undefined);
      await page.context().setOffline(false);
      await page.reload();
      await page.getByText(/No connection, next try in/).first().waitFor();
      const before = tries;
      // It tries again by itself, too, which may come first: each time the words are others.
      while (tries === before) await page.getByText(/No connection, next try in/).first().click({ timeout: 1_000 }).catch(() => undefined);
      await page.unroute('**/api/admin/live');
      await page.getByText('Live', { exact: true }).first().waitFor();
    }, [/ERR_FAILED|ERR_INTERNET_DISCONNECTED/]));

  test('a phone has a menu that leads on', () =>
    visiting({ width: 390 }, async (visit, page) => {
      await visit.open('/');
      await page.getByRole('button', { name: 'Menu' }).click();
      await page.locator('dialog').getByRole('link', { name: 'Upstreams' }).click();
      await page.getByRole('heading', { name: 'Upstreams', level: 1 }).waitFor();
      assert.equal(await page.locator('dialog').count(), 0);
    }));

  test('an API that fails is told, and asked again', () =>
    visiting({}, async (visit, page) => {
      await page.route('**/api/admin/errors*', (route) => route.fulfill({ status: 503, json: { type: 'error', error: { type: 'api_error', message: 'the log is busy' } } }));
      await visit.open('/errors');
      await page.getByText('the log is busy').waitFor();
      await page.unroute('**/api/admin/errors*');
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.getByText(/failed requests, by cause|No errors in this time/).first().waitFor();
    }, [/503/]));

  test('it can be installed, and keeps only its shell: one page and files with a hash', () =>
    visiting({ isNew: true }, async (visit, page) => {
      await visit.open('/');
      const manifest = await (await page.request.get(`${bench.url}/admin/manifest.webmanifest`)).json();
      for (const { src } of manifest.icons) assert.equal((await page.request.get(bench.url + src)).status(), 200, src);
      await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
      await page.reload();
      await visit.settled();
      const debug = await page.context().newCDPSession(page);
      const { installabilityErrors } = await debug.send('Page.getInstallabilityErrors');
      // The tests' own windows keep nothing, like private ones.
      assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito'), []);
      const kept = await page.evaluate(async () => {
        const names = await caches.keys();
        const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
        return requests.flat().map((request) => new URL(request.url).pathname);
      });
      assert(kept.length > 20);
      for (const path of kept) assert.match(path, /^\/admin\/(assets\/.+-[\w-]{8}\.\w+)?$/);
    }));
});

describe('upstreams', () => {
  test('one that never succeeded is not called healthy', () =>
    visiting({}, async (visit, page) => {
      await answering(page, 'upstreams', ({ upstreams: [one], ...more }) => {
        const fresh = { ...one, circuit: 'closed', open_for_ms: null, is_drained: false, good: 0, bad: 0, recent_good: 0, recent_bad: 0, failures_in_a_row: 0, last_failure: null };
        return { ...more, upstreams: [{ ...fresh, name: 'fresh' }, { ...fresh, name: 'failing', bad: 2, recent_bad: 2, failures_in_a_row: 2 }, { ...fresh, name: 'fine', good: 2, recent_good: 2 }] };
      });
      await visit.open('/upstreams');
      assert.deepEqual(await page.locator('article header .chip').allInnerTexts(), ['Not tried yet', 'Failing', 'Healthy']);
      await visit.screenshot('upstreams-states-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));

  test('one is added by way of a form and the usual preview', () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await visit.open('/upstreams');
      await page.getByRole('button', { name: 'Add upstream' }).click();
      await page.getByLabel('base_url').waitFor();
      await page.locator('dialog').getByRole('button', { name: 'Preview' }).click();
      await page.getByText('It needs a name.').waitFor();
      await page.getByLabel('Name').fill('second');
      await page.getByLabel('base_url').fill('https://second.example');
      await page.getByLabel('Priority').fill('1');
      await visit.screenshot('upstream-add-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      await page.locator('dialog').getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog ins').getByText('- name: second').waitFor();
      await page.locator('dialog .changes').getByText('added: second').waitFor();
      await visit.screenshot('upstream-add-preview-en-light-1440');
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').first().waitFor({ state: 'detached' });
      assert.match((await visit.api('config')).overlay, /- name: second\n +base_url: https:\/\/second.example\n +priority: 1\n/);
    })));

  test('none is added where the environment fixes the list', () =>
    visiting({}, async (visit, page) => {
      await answering(page, 'config', (config) => {
        Object.assign(config.settings.find(({ key }) => key === 'gateway.upstreams'), { is_locked: true, place: 'API_BASE_URL' });
        return config;
      });
      await visit.open('/upstreams');
      await page.getByText('API_BASE_URL replaces the list of upstreams').waitFor();
      assert(await page.getByRole('button', { name: 'Add upstream' }).isDisabled());
      await visit.open('/config');
      await page.getByRole('link', { name: 'To the upstreams' }).click();
      await page.waitForURL(/\/upstreams$/);
    }));

  test('a test is never called fine beside a warning', () =>
    visiting({}, async (visit, page) => {
      const note = { id: 'note', severity: 'note', cause_en: 'A web page came.', cure_en: 'A cure.', cause_zh: '返回了网页。', cure_zh: '办法。' };
      const way = { via: 'direct', used_by_gateway: true, status: 200, steps: [{ step: 'tcp', ok: true, milliseconds: 3, detail: '', code: 'connected', parameters: { address: '203.0.113.7:443' }, message: null }], findings: [note] };
      await page.route('**/api/admin/upstreams/*/test', (route) => route.fulfill({ json: { name: 'a', base_url: 'https://a.example', reachable: true, verdict: 'ok', ways: [way] } }));
      await visit.open('/upstreams');
      await page.getByRole('button', { name: 'Test now' }).first().click();
      await page.locator('.report').getByText('It works, with a warning').waitFor();
      assert.equal(await page.getByText('Everything works').count(), 0);
    }));

  test('one is tested, drained and enabled again', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/upstreams');
      const card = page.locator('article').first();
      await card.getByRole('button', { name: 'Test now' }).click();
      await card.locator('.report li').first().waitFor({ timeout: 60_000 });
      await card.getByRole('button', { name: 'Drain' }).click();
      await card.getByText('Drained', { exact: true }).waitFor();
      await card.getByRole('button', { name: 'Enable' }).click();
      await card.getByRole('button', { name: 'Drain' }).waitFor();
    }));
});

describe('costs', () => {
  /** The groups by model, of which the first has requests without a price, and nothing else or something. */
  const unpriced = (page, cost) => answering(page, 'stats/groups?by=model*', (answer) => ({
    ...answer, groups: answer.groups.map((group, index) => (index === 0 ? { ...group, name: 'new-model-1', has_price: false, cost_usd: cost, unpriced_requests: 149 } : group)),
  }));
  const rowOf = (page) => page.getByRole('row').filter({ hasText: 'new-model-1' });

  test('what has no price is never shown as free', () =>
    visiting({}, async (visit, page) => {
      await answering(page, 'stats?*', (stats) => ({ ...stats, cost_usd: 1.25, unpriced_requests: 149 }));
      await unpriced(page, null);
      await visit.open('/?range=24h');
      await page.locator('.tile').filter({ hasText: 'Cost' }).getByText('≥ $1.25').waitFor();
      await page.locator('.tile').filter({ hasText: 'Cost' }).getByText('149 requests without a price').waitFor();
      await rowOf(page).getByText('–', { exact: true }).waitFor();
      await rowOf(page).getByText('149 requests without a price').waitFor();
      await page.unrouteAll({ behavior: 'wait' });
      await answering(page, 'stats?*', (stats) => ({ ...stats, cost_usd: null, unpriced_requests: 1 }));
      await unpriced(page, 2.5);
      await page.reload();
      await page.locator('.tile').filter({ hasText: 'Cost' }).getByText('–', { exact: true }).waitFor();
      await page.locator('.tile').filter({ hasText: 'Cost' }).getByText('1 request without a price').waitFor();
      await rowOf(page).getByText('≥ $2.50').waitFor();
      // Small costs of others begin alike: $0.0012.
      assert.equal(await page.getByText(/^(≥ )?\$0\.00$/).count(), 0);
    }));

  test('a model gets its price in a form, and past requests are recalculated', () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await unpriced(page, null);
      await visit.open('/?range=24h');
      await rowOf(page).getByRole('button', { name: 'Set a price' }).click();
      await page.locator('dialog').getByRole('button', { name: 'Preview' }).click();
      assert.equal(await page.getByText('This must be a number such as 3 or 0.25.').count(), 2);
      await page.getByLabel('Input', { exact: true }).fill('4');
      await page.getByLabel('Output', { exact: true }).fill('20.5');
      await page.getByLabel('Cache reads').fill('0.2');
      assert.deepEqual(await visit.violations(), []);
      await page.locator('dialog').getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog ins').getByText('- models: new-model-1').waitFor();
      await page.getByRole('button', { name: 'Apply' }).click();
      const dialog = page.getByRole('dialog', { name: 'Recalculate costs' });
      await dialog.waitFor();
      assert.match((await visit.api('config')).overlay, /prices:\n +- models: new-model-1\n +input: 4\n +output: 20.5\n +cache_read: 0.2\n/);
      await dialog.getByLabel('From this day on').fill('2026-01-01');
      assert.deepEqual(await visit.violations(), []);
      await dialog.getByRole('button', { name: 'Recalculate', exact: true }).click();
      await dialog.getByText('Recalculated', { exact: true }).waitFor({ timeout: 60_000 });
      await dialog.getByText(/requests with known usage, from .* have no price\./).waitFor();
      await visit.screenshot('recost-en-light-1440');
      const { recost } = await visit.api('recost');
      assert.deepEqual([recost.state, recost.percent], ['done', 100]);
      await dialog.getByRole('button', { name: 'Close' }).last().click();
      await dialog.waitFor({ state: 'detached' });
    })));
});

describe('errors', () => {
  const group = (cause, more) => ({
    cause, outcome: 'upstream_error', status: 404, reason: '', error_type: null, upstream: 'a', message: null, count: 3, first_at_ms: Date.now() - 9000, last_at_ms: Date.now() - 5000, example_id: `req_${cause}`, ...more,
  });
  const groups = [group('not_found', { message: 'Invalid URL' }), group('unreachable', { reason: 'resolve' }), group('other', { reason: 'brand_new' })];

  for (const [locale, texts] of Object.entries({
    'en-US': ['The upstream does not know this path', 'The name of the upstream could not be resolved', 'The gateway notes: brand_new', 'Invalid URL'],
    'zh-CN': ['上游没有这个路径', '无法解析上游的域名', '网关记录的原因是：brand_new', 'Invalid URL'],
  })) {
    test(`are told in whole sentences, not in the gateway's short words (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await answering(page, 'errors*', () => ({ groups, total: 12 }));
        await visit.open('/errors');
        for (const text of texts) await page.getByText(text).first().waitFor();
        await visit.screenshot(`errors-sentences-${locale.slice(0, 2)}-light-1440`);
        assert.deepEqual(await visit.violations(), []);
      }));
  }
});

describe('rules', () => {
  test("the file's upstreams are copied into the overlay only after a yes, and the panel says what that means", () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      const before = (await visit.api('config')).overlay;
      await visit.open('/rules');
      const rule = page.getByRole('switch', { name: 'anyrouter.compact' }).first();
      await rule.click();
      await page.getByText('From then on only the copy counts').waitFor();
      await visit.screenshot('rules-copy-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      await page.getByRole('button', { name: 'Cancel' }).click();
      assert.equal((await visit.api('config')).overlay, before);
      await rule.click();
      await page.getByRole('button', { name: 'Copy and continue' }).click();
      await page.waitForFunction(() => document.querySelector('[role=switch][aria-label="anyrouter.compact"]').ariaChecked === 'true');
      // The second one asks no more.
      await page.getByRole('switch', { name: 'anyrouter.beta-1m' }).first().click();
      await page.waitForFunction(() => document.querySelector('[role=switch][aria-label="anyrouter.beta-1m"]').ariaChecked === 'false');
      await visit.open('/config?view=yaml');
      await page.getByText('The overlay has lists of its own: gateway.upstreams.').waitFor();
      await visit.screenshot('config-hidden-lists-en-light-1440');
    })));

  for (const locale of ['en-US', 'zh-CN']) {
    test(`each of the profile says what it does (${locale})`, () =>
      visiting({ locale }, async (visit, page) => {
        await visit.open('/rules');
        const { rules } = (await visit.api('rules')).upstreams[0];
        const ofProfile = rules.filter(({ source }) => source === 'profile').map(({ name }) => name);
        assert(ofProfile.length > 5);
        const told = await page.locator('[data-rule^="anyrouter."]').evaluateAll((rows) => rows.filter((row) => row.querySelector('.words .faint')?.textContent.trim()).map((row) => row.dataset.rule));
        assert.deepEqual(told.toSorted(), ofProfile.toSorted());
      }));
  }

  test('one is switched off and on, and the gateway knows', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/rules');
      const rule = page.getByRole('switch').first();
      const name = await rule.getAttribute('aria-label');
      const isOn = async () => (await visit.api('rules')).upstreams[0].rules.find((one) => one.name === name).is_enabled;
      const before = await isOn();
      for (const wanted of [!before, before]) {
        await rule.click();
        const go = page.getByRole('button', { name: 'Copy and continue' });
        if (await go.isVisible()) await go.click();
        await page.waitForFunction(([label, value]) => document.querySelector(`[role=switch][aria-label="${label}"]`).ariaChecked === value, [name, String(wanted)]);
        assert.equal(await isOn(), wanted);
        const { overlay } = await visit.api('config');
        assert(wanted || (overlay.includes('profile_rules:') && overlay.includes(name)), overlay);
        assert.equal(await page.getByRole('switch').first().getAttribute('aria-label'), name, 'it stays at its place');
      }
    }));

  test('a rule that somebody else changed meanwhile is not overwritten; other edits stay', () =>
    visiting({}, async (visit, page) => keepingOverlay(visit, async () => {
      const put = async (overlay) => {
        const { version } = await visit.api('config');
        const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
        assert.equal(answer.status(), 200);
      };
      const overlayWith = (header) => `gateway:\n  rules:\n    - name: of-both\n      match: {path: /v1/messages}\n      headers: {set: {X-Which: ${header}}}\n`;
      const edit = async (from, to) => {
        await page.getByRole('button', { name: 'Edit of-both' }).first().click();
        await page.locator('dialog .cm-line', { hasText: from }).dblclick({ position: { x: 3, y: 3 } });
        await page.keyboard.press('Control+End');
        await page.keyboard.type(to);
      };
      await put(overlayWith('one'));
      await visit.open('/rules');
      await edit('X-Which', '# mine');
      await put(`${overlayWith('one')}  debug: false\n`);
      await page.waitForTimeout(300);
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      let { overlay } = await visit.api('config');
      assert(overlay.includes('# mine') && overlay.includes('debug: false'), overlay);

      await edit('X-Which', '# too');
      await put(overlayWith('two'));
      await page.waitForTimeout(300);
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.getByRole('alert').getByText('changed or removed this rule').waitFor();
      ({ overlay } = await visit.api('config'));
      assert.equal(overlay, overlayWith('two'));
    }), [/409/]));

  test('a rule of one\'s own is added, and a wrong one is refused', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/rules');
      await page.getByRole('button', { name: 'New rule' }).first().click();
      const editor = page.locator('dialog .cm-content');
      await editor.click();
      await page.keyboard.press('Control+a');
      await page.keyboard.type('nonsense');
      await page.locator('dialog [role=alert]').getByText('Line 1: A rule is a mapping').waitFor();
      await page.keyboard.press('Control+a');
      await page.keyboard.insertText('# mine\nname: x\nmatch: {method: HEAD, path: /x}\nblunder: 3\n');
      await page.locator('dialog [role=alert]').getByText(/Line 4: .*blunder/).waitFor();
      await page.locator('dialog .cm-lint-marker-error').waitFor();
      await visit.screenshot('rule-editor-problems-en-light-1440');
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog [role=alert]').getByText(/Line 4: .*blunder/).waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Discard them' }).click();
      await page.locator('dialog').first().waitFor({ state: 'detached' });

      await page.getByRole('button', { name: 'New rule' }).first().click();
      await page.locator('dialog .cm-content').waitFor();
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert((await visit.api('rules')).upstreams[0].rules.some((rule) => rule.name === 'my-rule'));
      assert.match((await visit.api('config')).overlay, /\n +- name: my-rule\n/);
      await page.getByRole('button', { name: 'Edit my-rule' }).first().click();
      await page.getByRole('button', { name: 'Delete rule' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert(!(await visit.api('rules')).upstreams[0].rules.some((rule) => rule.name === 'my-rule'));
    }, [/422/]));

  test('a dry run shows what would change', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/rules?view=try');
      await page.getByRole('button', { name: 'Fill in an example' }).click();
      await page.getByRole('button', { name: 'Dry run', exact: true }).click();
      await page.getByRole('heading', { name: /Goes to/ }).waitFor();
      await visit.screenshot('rules-explained-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));
});

describe('a dry run in Chinese', () => {
  test('speaks Chinese, and tells a rule that had nothing to do from one that did something', () =>
    visiting({ locale: 'zh-CN' }, async (visit, page) => {
      const rule = (name, more) => ({ name, matches: true, unmet: null, condition: null, body: [], outcomes: [], ...more });
      const did = (...codes) => ({ outcomes: codes.map((code) => ({ code, changed: code === 'listed' || code === 'set' })) });
      const values = [[{ code: 'present', text: null }], [{ code: 'equals', text: 'cli' }]];
      const condition = { code: 'header', name: 'x-app', values, conditions: [] };
      await page.route('**/api/admin/explain', (route) => route.fulfill({ json: {
        upstream: 'a', answered: null, head_diff: '', body_diff: '', bytes_before: 2, bytes_after: 2, on_move: null, touches_cached_prefix: false,
        prefix: { varies: [], elsewhere: [] },
        rules: [rule('one', did('listed')), rule('two', did('same')), rule('three', did('set', 'absent')), rule('four', { matches: false, condition }), rule('five')],
      } }));
      await visit.open('/rules?view=try');
      await page.getByRole('button', { name: '填入示例' }).click();
      await page.getByRole('button', { name: '试运行', exact: true }).click();
      await page.locator('.rules li').first().waitFor();
      const lines = await page.locator('.rules li').allInnerTexts();
      assert.deepEqual(lines.map((line) => line.replace(/\s+/g, ' ').trim()), [
        'one 已转为列表', 'two 请求体无需改动：已经如此', 'three 已设置值；其中没有该项', 'four 不匹配：请求头 x-app 为 存在 或 “cli”', 'five 无需改动',
      ]);
      assert.equal(await page.locator('.rules li.check').count(), 2);
      assert.equal(await page.locator('.rules li.minus').count(), 2);
      await visit.screenshot('rules-explained-zh-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));
});

describe('a dry run', () => {
  test('of a body that is no JSON says so', { skip: IS_MOCK }, () =>
    visiting({}, async (visit, page) => {
      await visit.open('/rules?view=try');
      await page.getByLabel('Body').fill('{"a":');
      await page.getByRole('button', { name: 'Dry run', exact: true }).click();
      await page.getByText(/The body is not JSON/).waitFor();
    }));
});

describe('a past request', () => {
  test('that was kept whole is run through the rules', { skip: IS_MOCK }, () =>
    visiting({}, async (visit, page) => {
      const { requests } = await visit.api('requests?path=/v1/messages&outcome=completed&limit=20');
      const details = await Promise.all(requests.map(({ id }) => visit.api(`requests/${id}`)));
      const kept = details.find(({ capture }) => capture !== null);
      assert(kept, 'one of the newest requests was kept');
      await visit.open(`/requests?id=${kept.id}`);
      await page.getByRole('link', { name: 'Dry run of the rules' }).click();
      await page.getByRole('heading', { name: /Goes to/ }).waitFor();
      await page.getByText('As it was captured.').waitFor();
      await page.getByText('x-panel').first().waitFor();
      await page.getByRole('button', { name: 'Edit it as text' }).click();
      assert.equal(await page.getByLabel('Body').inputValue(), kept.capture.body);
      await page.getByRole('button', { name: 'Dry run', exact: true }).click();
      await page.getByText('x-panel').first().waitFor();
      await visit.screenshot('rules-past-request-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      assert(!(await page.content()).includes('sk-e2e-'), 'no key of a client');
    }));
});

describe('configuration', () => {
  const read = 'gateway.timeouts.read';
  const valueOf = async (visit, key) => (await visit.api('config')).settings.find((setting) => setting.key === key).value;

  test('an edit in the form is previewed, applied, in force, and taken back from the history', () =>
    visiting({}, async (visit, page) => {
      const before = await valueOf(visit, read);
      await visit.open('/config?section=timeouts');
      await page.getByLabel('timeouts.read').fill('123s');
      await page.getByText('1 change', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog .changes').getByText('123s').waitFor();
      await visit.screenshot('config-preview-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert.equal(await valueOf(visit, read), '123s');

      await visit.open('/config?view=history');
      await page.getByRole('button', { name: 'Return to this' }).first().click();
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert.equal(await valueOf(visit, read), before);
    }));

  test('of lists the preview names what changes, and says when the environment has the last word', () =>
    visiting({}, async (visit, page) => {
      const edit = async (text) => {
        await visit.open('/config?view=yaml');
        await page.locator('.cm-content').first().click();
        await page.keyboard.press('Control+a');
        await page.keyboard.insertText(text);
        await page.getByRole('button', { name: 'Preview' }).click();
      };
      await edit('gateway:\n  rules:\n    - name: brand-new\n      match: {method: HEAD, path: /x}\n      respond: {status: 204}\n');
      await page.locator('dialog .changes').getByText('added: brand-new').waitFor();
      await visit.screenshot('config-preview-lists-en-light-1440');
      await answering(page, 'config', (config) => {
        Object.assign(config.settings.find(({ key }) => key === 'gateway.upstreams'), { is_locked: true, place: 'API_BASE_URL' });
        return config;
      });
      await edit('gateway:\n  upstreams:\n    - name: other\n      base_url: https://other.example\n');
      await page.locator('dialog').getByText('API_BASE_URL replaces the list gateway.upstreams').waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.locator('.editors').getByText('API_BASE_URL replaces the list gateway.upstreams').waitFor();
      await visit.screenshot('config-locked-list-en-light-1440');
    }));

  test('a bad edit is refused with its line, and nothing changes', () =>
    visiting({}, async (visit, page) => {
      const before = await valueOf(visit, read);
      await visit.open('/config?view=yaml');
      const editor = page.locator('.cm-content').first();
      await editor.click();
      await page.keyboard.press('Control+a');
      await page.keyboard.type('gateway:\ntimeouts_: 3');
      await page.locator('.problems li').first().waitFor();
      assert.match(await page.locator('.problems').innerText(), /line 2/);
      await page.getByRole('button', { name: 'Preview' }).click();
      assert(await page.getByRole('button', { name: 'Apply' }).isDisabled());
      await visit.screenshot('config-refused-en-light-1440');
      assert.equal(await valueOf(visit, read), before);
    }));

  test('text with brackets and several lines goes over a selection with faults in it, and breaks no policy', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?view=headers');
      const editor = page.locator('.cm-content').first();
      await editor.click();
      for (const text of ['{\n  "X-One": "1",,\n}\n', '{\n  "X-One": "2"\n}\n', '(', '{ "X-One": [3]\n']) {
        await page.keyboard.press('Control+a');
        await page.keyboard.insertText(text);
        await page.waitForTimeout(700);
      }
      await page.locator('.cm-lint-marker-error').first().waitFor();
      await page.keyboard.press('Home');
      await page.keyboard.insertText('"a": 1,\n"b": 2,\n');
      await page.keyboard.press('Shift+ArrowUp');
      await page.keyboard.press('Shift+ArrowUp');
      await page.keyboard.type('"');
      await page.locator('.cm-lint-marker-error').first().hover();
      await page.waitForTimeout(700);
    }));

  test('values of the headers file are shown on a click, and stay hidden before', { skip: IS_MOCK }, () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?view=headers');
      const editor = page.locator('.cm-content').first();
      await editor.click();
      await page.keyboard.press('Control+a');
      await page.keyboard.insertText('{ "X-Hidden": "of-the-panel" }');
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('button', { name: 'Apply' }).click();
      await editor.getByText('********').waitFor();
      assert.doesNotMatch(await editor.innerText(), /of-the-panel/);
      await page.getByRole('button', { name: 'Show values' }).click();
      await editor.getByText('of-the-panel').waitFor();
      await visit.screenshot('config-headers-shown-en-light-1440');
    }));

  test('an empty overlay shows an example', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?view=yaml');
      await page.locator('.cm-content').first().click();
      await page.keyboard.press('Control+a');
      await page.keyboard.press('Delete');
      await page.locator('.cm-placeholder').getByText('- name: my-rule').waitFor();
      await visit.screenshot('config-empty-overlay-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));

  test('keys are completed from the schema', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?view=yaml');
      await page.locator('.cm-content').first().click();
      await page.keyboard.press('Control+a');
      await page.keyboard.type('gateway:\n');
      await page.keyboard.type('pres', { delay: 30 });
      await page.locator('.cm-tooltip-autocomplete').getByText('preserve_host').waitFor();
    }));

  test('an edit of an old version meets a conflict, not a silent overwrite', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config?section=limits');
      await page.getByLabel('limits.header_count').fill('77');
      await page.getByText('1 change', { exact: true }).waitFor();

      const config = await visit.api('config');
      const theirs = `${config.overlay.trimEnd() || 'gateway:'}\n  log:\n    keep: 45d\n`;
      const put = (base, overlay) => visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: base, overlay } });
      const saved = await put(config.version, theirs);
      assert.equal(saved.status(), 200);

      await page.getByRole('button', { name: 'Preview' }).click();
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.getByRole('heading', { name: 'Somebody else changed the configuration' }).waitFor();
      await visit.screenshot('config-conflict-en-light-1440');
      assert.equal(await valueOf(visit, 'gateway.log.keep'), '45d');
      assert.equal(await valueOf(visit, 'gateway.limits.header_count'), config.settings.find(({ key }) => key === 'gateway.limits.header_count').value);
      await page.getByRole('button', { name: 'Put my edit on top' }).click();
      await page.locator('dialog .changes').getByText('77').waitFor();
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert.equal(await valueOf(visit, 'gateway.log.keep'), '45d');
      assert.equal(await valueOf(visit, 'gateway.limits.header_count'), '77');
      assert.equal((await put((await visit.api('config')).version, config.overlay)).status(), 200);
    }, [/409/]));

  test('groups are reached from their list, on a phone from a choice', async () => {
    for (const width of [1440, 390]) {
      await visiting({ width }, async (visit, page) => {
        await visit.open('/config');
        if (width > 900) await page.getByRole('navigation', { name: 'Groups of settings' }).getByRole('link', { name: 'Limits', exact: true }).click();
        else await page.getByRole('combobox', { name: 'Groups of settings' }).selectOption('Limits');
        await page.waitForTimeout(300);
        const box = await page.getByRole('heading', { name: 'Limits', exact: true }).boundingBox();
        assert(box.y > 0 && box.y < (width > 900 ? 420 : 640), `the heading is at ${box.y}`);
        const first = page.getByLabel('limits.request_body');
        const { top, covering } = await first.evaluate((element) => {
          const { x, y, height } = element.getBoundingClientRect();
          return { top: y, covering: document.elementFromPoint(x + 5, y + height / 2) === element };
        });
        assert(top < (width > 900 ? 480 : 760) && covering, 'the first setting is in sight');
        await visit.screenshot(`config-groups-en-light-${width}`);
        assert.deepEqual(await visit.violations(), []);
        assert(await visit.overhang() <= 0);
      });
    }
  });

  test('on a phone differences stand in one column', () =>
    visiting({ width: 390 }, async (visit, page) => {
      await visit.open('/config?section=timeouts');
      await page.getByLabel('timeouts.read').fill('123s');
      await page.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog .diff ins').getByText('read: 123s').waitFor();
      const { width, inner } = await page.locator('dialog .diff').evaluate((element) => ({ width: element.clientWidth, inner: element.scrollWidth }));
      assert(inner <= width, `${inner} px in ${width} px`);
      await visit.screenshot('config-preview-en-light-390');
      assert.deepEqual(await visit.violations(), []);
    }));

  test('what waits for a restart names the command', () =>
    visiting({}, async (visit, page) => {
      await answering(page, 'config', (config) => ({ ...config, pending_restart: ['gateway.listen'] }));
      await visit.open('/config');
      await page.getByText('anyrouter-gateway upgrade').waitFor();
      await page.getByText('systemctl reload anyrouter-gateway').waitFor();
      await visit.screenshot('config-restart-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));

  test('in Chinese every setting has its meaning in Chinese', () =>
    visiting({ locale: 'zh-CN' }, async (visit, page) => {
      await visit.open('/config');
      const { settings } = await visit.api('config');
      const sections = page.getByRole('navigation', { name: '配置分组' }).getByRole('link');
      for (let at = 0; at < await sections.count(); at += 1) {
        await sections.nth(at).click();
        await page.locator('section[data-section]', { hasText: await sections.nth(at).innerText() }).waitFor();
        const shown = await page.locator('main').innerText();
        assert.deepEqual(settings.filter(({ help }) => help !== '' && shown.includes(help)).map(({ key }) => key), []);
      }
      const names = await sections.allInnerTexts();
      assert.deepEqual(names.filter((name) => !/\p{Script=Han}|^DNS$/u.test(name)), [], 'every group has a name in Chinese');
    }));
});

describe('access', { skip: KEY === '' }, () => {
  test('without the key there is only the login, which leads to where one wanted to go', () =>
    visiting({ isSignedIn: false }, async (visit, page) => {
      await page.goto(`${bench.url}/admin/upstreams`);
      await page.waitForURL(/\/login\?to=/);
      await page.getByLabel('Key').fill('wrong');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('This is neither the key nor a token.').waitFor();
      await page.getByLabel('Key').fill(KEY);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Upstreams', level: 1 }).waitFor();
      const { cookie, stored } = await page.evaluate(() => ({ cookie: document.cookie, stored: JSON.stringify(localStorage) + JSON.stringify(sessionStorage) }));
      assert(!cookie.includes(KEY) && !stored.includes(KEY) && !page.url().includes(KEY));
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.waitForURL(/\/login/);
      await page.goto(`${bench.url}/admin/config`);
      await page.waitForURL(/\/login/);
    }, [/401/]));

  test('too many wrong keys are answered slowly, and the right one at any time', () =>
    visiting({ isSignedIn: false }, async (visit, page) => {
      await visit.open('/login');
      const slow = page.getByText('the right one works at any time');
      for (let attempt = 0; attempt < 7 && !(await slow.isVisible()); attempt += 1) {
        await page.getByLabel('Key').fill(`wrong ${attempt}`);
        await Promise.all([page.waitForResponse('**/api/admin/session'), page.getByRole('button', { name: 'Sign in' }).click()]);
        await page.waitForTimeout(200);
      }
      await slow.waitFor();
      await visit.screenshot('login-slow-en-light-1440');
      await page.getByLabel('Key').fill(KEY);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('button', { name: 'Sign out' }).waitFor();
    }, [/401|429/]));
});

describe('first start', { skip: !FIRST.isThere }, () => {
  let first;
  before(async () => {
    first = await Bench.start(FIRST);
  });
  after(() => first.stop());

  /** Every place where a browser could keep the key. */
  async function kept({ page, context }) {
    const devtools = await context.newCDPSession(page);
    const { entries } = await devtools.send('Page.getNavigationHistory');
    const inPage = await page.evaluate(async () => ({
      address: location.href,
      cookie: document.cookie,
      stored: JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + JSON.stringify(history.state),
      caches: (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat(),
      html: document.documentElement.outerHTML,
      fields: [...document.querySelectorAll('input, textarea')].map(({ value }) => value),
    }));
    return JSON.stringify({ history: entries.map(({ url }) => url), ...inPage });
  }

  test('the printed link logs in, and with two more clicks one is where settings are changed and saved; the key is kept nowhere', async () => {
    const visit = await first.visit({ isSignedIn: false });
    const { page } = visit;
    const requested = [];
    page.on('request', (request) => requested.push(request.url()));
    const link = first.link();
    await page.goto(link);
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(new URL(page.url()).hash, '');
    await visit.settled();
    await visit.screenshot('first-start-en-light-1440');
    await page.getByRole('link', { name: 'Configuration' }).click();
    await page.getByRole('link', { name: 'Timeouts' }).click();
    await page.getByLabel('timeouts.read').fill('321s');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    const { settings } = await visit.api('config');
    assert.equal(settings.find(({ key }) => key === 'gateway.timeouts.read').value, '321s');
    const secrets = [first.key, encodeURIComponent(first.key), new URL(link).hash.replace('#key=', '')];
    const written = (text) => secrets.some((secret) => text.includes(secret));
    assert(!written(await kept(visit)), 'the key is nowhere in the browser');
    assert(requested.length > 5 && !requested.some((url) => written(url.split('#')[0])), 'and in no request but the body of the login');
    await page.goBack();
    assert(!page.url().includes('key='));
    assert.deepEqual(visit.faults, []);
    await visit.close();
  });

  test('a link leads to where it points', async () => {
    const visit = await first.visit({ isSignedIn: false });
    await visit.page.goto(first.link('/upstreams'));
    await visit.page.getByRole('heading', { name: 'Upstreams', level: 1 }).waitFor();
    assert.equal(visit.page.url(), `${first.url}/admin/upstreams`);
    assert.deepEqual(visit.faults, []);
    await visit.close();
  });

  test('a link that is over says so, and one that is pasted into the open page is taken', async () => {
    const visit = await first.visit({ isSignedIn: false, locale: 'zh-CN' });
    const { page } = visit;
    await page.goto(`${first.url}/admin/config#key=no%20longer`);
    await page.getByText('此链接已失效').waitFor();
    await page.getByText('anyrouter-gateway panel').waitFor();
    assert(!page.url().includes('longer'));
    await visit.screenshot('link-over-zh-light-1440');
    assert.deepEqual(await visit.violations(), []);
    // The page stays: only what is behind the number sign is another.
    const { hash } = new URL(first.link());
    await page.evaluate((pasted) => (location.hash = pasted), hash);
    await page.getByRole('heading', { name: '配置', level: 1 }).waitFor();
    assert(!(await kept(visit)).includes(hash.replace('#key=', '')));
    assert.deepEqual(visit.faults.filter((fault) => !/401|429/.test(fault)), []);
    await visit.close();
  });

  test('an empty log has friendly words', async () => {
    const visit = await first.visit({ locale: 'zh-CN' });
    await visit.open('/errors?range=15m');
    await visit.open('/');
    await visit.screenshot('empty-dashboard-zh-light-1440');
    assert.deepEqual(await visit.violations(), []);
    assert.deepEqual(visit.faults, []);
    await visit.close();
  });

  test('what the environment fixes is locked', async () => {
    const visit = await first.visit();
    await visit.open('/config?section=proxy');
    assert(await visit.page.getByLabel('proxy.https').isDisabled());
    await visit.page.getByText('Fixed by HTTPS_PROXY').waitFor();
    await visit.screenshot('config-locked-en-light-1440');
    assert.deepEqual(visit.faults, []);
    await visit.close();
  });
});

describe('a gateway that could make no key', { skip: !IS_MOCK }, () => {
  test('is closed, and says what to do', async () => {
    const closed = await Bench.start({ url: undefined, key: '', rows: 0 });
    for (const [locale, title] of [['en-US', 'The panel is closed'], ['zh-CN', '面板未开放']]) {
      const visit = await closed.visit({ locale });
      await visit.page.goto(`${closed.url}/admin/requests`);
      await visit.page.getByRole('heading', { name: title }).waitFor();
      await visit.page.getByText('anyrouter-gateway panel').waitFor();
      await visit.screenshot(`closed-${locale}-light-1440`);
      assert.deepEqual(await visit.violations(), []);
      assert.deepEqual(visit.faults, []);
      await visit.close();
    }
    await closed.stop();
  });
});
