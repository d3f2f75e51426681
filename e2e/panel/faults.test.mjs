// Faults that people met in a day's work with the panel: each test failed before its mend.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Bench, IS_MOCK, keepingOverlay, visiting as visitingAt } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);

describe('an edit that is not saved', () => {
  /** What the browser asks when a page with an edit is left: `accept` leaves. */
  const answerBrowser = (page, accept) =>
    new Promise((resolve) => {
      page.once('dialog', (dialog) => void (accept ? dialog.accept() : dialog.dismiss()).then(() => resolve(dialog.type())));
    });

  for (const view of ['form', 'yaml']) {
    test(`is not lost by a link, a reload or a closed window (${view})`, () =>
      visiting({}, async (visit, page) => {
        await visit.open(`/config?view=${view}`);
        if (view === 'form') {
          await page.getByRole('searchbox').fill('timeouts.read');
          await page.getByLabel('timeouts.read', { exact: true }).fill('77s');
        } else {
          await page.locator('.cm-content').first().click();
          await page.keyboard.press('Control+End');
          await page.keyboard.insertText('# mine\n');
        }
        await page.getByRole('region', { name: 'Changes that have not been applied yet' }).waitFor();

        const dialog = page.locator('dialog', { hasText: 'Discard your changes?' });
        await page.getByRole('link', { name: 'Errors' }).click();
        await dialog.getByRole('button', { name: 'Keep editing' }).click();
        await dialog.waitFor({ state: 'detached' });
        assert.match(page.url(), /\/config/);

        const asked = answerBrowser(page, false);
        await Promise.all([page.reload({ timeout: 3000 }).catch(() => undefined), asked]);
        assert.equal(await asked, 'beforeunload');
        const closing = answerBrowser(page, false);
        await page.close({ runBeforeUnload: true });
        assert.equal(await closing, 'beforeunload');
        if (view === 'form') assert.equal(await page.getByLabel('timeouts.read', { exact: true }).inputValue(), '77s');
        else await page.locator('.cm-content').first().getByText('# mine').waitFor();

        await page.getByRole('link', { name: 'Errors' }).click();
        await dialog.getByRole('button', { name: 'Discard them' }).click();
        await page.getByRole('heading', { name: 'Errors', level: 1 }).waitFor();
        // Nothing is left to ask about.
        await page.reload();
        await page.getByRole('heading', { name: 'Errors', level: 1 }).waitFor();
      }));
  }

  test('in a form is not lost by Escape, but one that was only looked at closes', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/errors?range=30d');
      const open = page.getByRole('button', { name: 'Make a rule' }).first();
      const form = page.locator('dialog', { hasText: 'Preview' });
      await open.click();
      await form.getByLabel('Status').waitFor();
      await page.keyboard.press('Escape');
      await form.waitFor({ state: 'detached' });
      await open.click();
      await form.getByLabel('Status').fill('599');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Keep editing' }).click();
      assert.equal(await form.getByLabel('Status').inputValue(), '599');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Discard them' }).click();
      await form.waitFor({ state: 'detached' });
    }));
});

/** Puts this overlay into force. */
async function put(visit, overlay) {
  const { version } = await visit.api('config');
  const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
  assert.equal(answer.status(), 200);
}

describe('the configuration', () => {

  test('shows what is in force of the entries of a list that is the overlay\'s', () =>
    visiting({}, async (visit, page) => keepingOverlay(visit, async () => {
      const { settings } = await visit.api('config');
      const url = settings.find(({ key }) => key === 'gateway.upstreams[0].base_url').value;
      await put(visit, `gateway:\n  upstreams:\n    - {name: relay, base_url: "${url}", profile: anyrouter, priority: 7}\n    - {name: second, base_url: "${url}", priority: 9}\n`);
      await visit.open('/config?section=upstreams');
      const shown = (key) => page.getByLabel(key, { exact: true }).inputValue();
      assert.deepEqual([await shown('upstreams[0].base_url'), await shown('upstreams[0].priority'), await shown('upstreams[1].priority')], [url, '7', '9']);
      await page.getByText('relay, second', { exact: true }).waitFor();
      // A list is no text for one line.
      for (const list of ['failover.errors', 'models', 'notify.targets']) assert.equal(await page.getByLabel(list, { exact: true }).count(), 0);
    })));

  test('comes in sections that the URL names, none of them endless', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/config');
      const sections = await page.getByRole('navigation', { name: 'Groups of settings' }).getByRole('link').allInnerTexts();
      assert(sections.length > 10);
      for (const name of sections) {
        await page.getByRole('navigation', { name: 'Groups of settings' }).getByRole('link', { name, exact: true }).click();
        await page.getByRole('heading', { name, exact: true, level: 2 }).waitFor();
        assert.equal(await page.locator('section[data-section]').count(), 1);
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        assert(height < 3000, `${name}: ${height} px`);
      }
      const url = page.url();
      assert.match(url, /section=/);
      await page.reload();
      await page.getByRole('heading', { name: sections.at(-1), exact: true, level: 2 }).waitFor();
      // What is changed out of sight has a mark.
      await page.getByRole('link', { name: 'Limits', exact: true }).click();
      await page.getByLabel('limits.header_count').fill('77');
      await page.getByRole('link', { name: 'Timeouts', exact: true }).click();
      await page.locator('.contents a', { hasText: 'Limits' }).locator('.dot.accent').waitFor();
    }));

  test('that another tab changed is seen at once, and an edit stays', () =>
    visiting({}, async (visit, page) => keepingOverlay(visit, async () => {
      await visit.open('/config?section=log');
      await page.getByText('Live', { exact: true }).first().waitFor();
      await put(visit, 'gateway:\n  log:\n    keep: 41d\n');
      await page.waitForFunction(() => [...document.querySelectorAll('input')].some((input) => input.value === '41d'));
      await page.getByLabel('log.keep_size', { exact: true }).fill('2GiB');
      await put(visit, 'gateway:\n  log:\n    keep: 42d\n');
      await page.getByText('Another version has come into force while you edit.').waitFor();
      assert.equal(await page.getByLabel('log.keep_size', { exact: true }).inputValue(), '2GiB');
      await page.getByRole('button', { name: 'Compare' }).click();
      await page.getByRole('button', { name: 'Put my edit on top' }).click();
      await page.getByText('Another version has come into force').waitFor({ state: 'detached' });
      assert.deepEqual([await page.getByLabel('log.keep', { exact: true }).inputValue(), await page.getByLabel('log.keep_size', { exact: true }).inputValue()], ['42d', '2GiB']);
    })));

  test('that changed while nobody looked is read anew afterwards', () =>
    visiting({}, async (visit, page) => keepingOverlay(visit, async () => {
      await visit.open('/config?section=log');
      await page.getByText('Live', { exact: true }).first().waitFor();
      const hide = (isHidden) => page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
        document.dispatchEvent(new Event('visibilitychange'));
      }, isHidden);
      await hide(true);
      await put(visit, 'gateway:\n  log:\n    keep: 43d\n');
      await hide(false);
      await page.waitForFunction(() => [...document.querySelectorAll('input')].some((input) => input.value === '43d'));
    })));
});

/** An upstream whose answers end when the test says so; `what` gets its address. */
async function withSlowUpstream(what) {
  const open = [];
  const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event('message_start', { message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-opus-4-8', content: [], usage: { input_tokens: 12, output_tokens: 1 } } }));
    response.write(event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }));
    response.write(event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'so far '.repeat(60) } }));
    open.push(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const finish = () => {
    for (const response of open.splice(0)) {
      response.write(event('content_block_stop', { index: 0 }));
      response.write(event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 105 } }));
      response.end(event('message_stop', {}));
    }
  };
  try {
    await what(`http://127.0.0.1:${server.address().port}`, finish);
  } finally {
    finish();
    server.closeAllConnections();
    server.close();
  }
}

/** Sends a request through the gateway; its response ends when the upstream's does. */
async function send(visit) {
  const { settings } = await visit.api('config');
  const listen = settings.find(({ key }) => key === 'gateway.listen').value;
  const answer = await fetch(`http://${listen}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', authorization: 'Bearer sk-faults' },
    body: JSON.stringify({ model: 'claude-opus-4-8', max_tokens: 64, stream: true, messages: [{ role: 'user', content: 'slowly' }] }),
  });
  return answer.text();
}

describe('a request that is being served', { skip: IS_MOCK }, () => {
  for (const width of [1440, 390]) {
    test(`stands above the list, and opens a page that follows it to its end (${width} px)`, () =>
      visiting({ width }, (visit, page) => keepingOverlay(visit, () => withSlowUpstream(async (url, finish) => {
        await put(visit, `gateway:\n  upstreams:\n    - {name: slow, base_url: "${url}"}\n`);
        await visit.open('/requests');
        const sent = send(visit);
        const row = page.locator('[data-index="0"]', { hasText: 'answering' });
        await row.getByText('slow', { exact: true }).waitFor();
        await row.getByRole('button', { name: 'claude-opus-4-8' }).click();
        await page.locator('dialog').getByText('Being served', { exact: true }).waitFor();
        await page.waitForURL(/id=/);
        // The link to it works too.
        await page.reload();
        await page.locator('dialog').getByText('This request is being served; what is shown follows it.').waitFor();
        assert.deepEqual(await visit.violations(), []);
        finish();
        await sent;
        await page.locator('dialog .timeline').waitFor();
        await page.locator('dialog').getByText('Completed').first().waitFor();
        await page.keyboard.press('Escape');
        const over = page.locator('[data-index="0"]');
        await over.getByText('Completed').waitFor();
        // What it cost and where it was stand in the row, on a phone too.
        await over.getByText('slow', { exact: true }).waitFor();
        assert.match(await over.locator('.cost').innerText(), /\$0\.\d+/);
      })), [/404/]));
  }
});

describe('the page of a request', () => {
  for (const width of [1440, 390]) {
    test(`leads to the next and the one before, by buttons and keys (${width} px)`, () =>
      visiting({ width }, async (visit, page) => {
        await visit.open('/requests');
        await page.getByRole('button', { name: 'Pause' }).click();
        const { requests } = await visit.api('requests?limit=3');
        await page.locator('[data-index="0"] button').click();
        const at = (index) => page.waitForURL((url) => url.searchParams.get('id') === requests[index].id);
        await at(0);
        await page.getByRole('button', { name: 'Older request' }).click();
        await at(1);
        await page.keyboard.press('ArrowRight');
        await at(2);
        await page.keyboard.press('ArrowLeft');
        await at(1);
        await page.getByRole('button', { name: 'Newer request' }).click();
        await at(0);
      }));
  }
});

describe('what is taken away', () => {
  test('as a table opens in a spreadsheet: with a mark of its letters, times that people read, and a name', { skip: IS_MOCK }, () =>
    visiting({}, async (visit, page) => {
      await visit.open('/requests?range=24h&outcome=completed');
      await page.getByRole('button', { name: 'Export' }).click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'As CSV' }).click()]);
      const stream = await download.createReadStream();
      const parts = [];
      for await (const part of stream) parts.push(part);
      const text = Buffer.concat(parts).toString();
      assert.equal(text.charCodeAt(0), 0xfeff);
      const [head, first] = text.slice(1).split('\r\n').map((line) => line.split(','));
      const [ms, at] = [first[head.indexOf('started_at_ms')], first[head.indexOf('started_at')]];
      // The browser of the tests is in Shanghai.
      assert.equal(at.replace(/^"|"$/g, '').slice(0, 19).replace('T', ' '), new Date(Number(ms) + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' '));
      assert.match(download.suggestedFilename(), /^requests.*\d{4}-?\d{2}-?\d{2}.*completed.*\.csv$/);
      // Programs get what they got.
      const plain = await visit.context.request.get(`${bench.url}/api/admin/export?format=csv&outcome=completed`);
      assert.notEqual((await plain.body())[0], 0xef);
    }));
});

describe('a key', { skip: IS_MOCK }, () => {
  test('gets a name by a small form, and has it wherever it is shown', () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      const { requests } = await visit.api('requests?limit=200');
      const row = requests.find(({ key, cause }) => key !== null && cause === null);
      await visit.open(`/requests?id=${row.id}`);
      const drawer = page.locator('dialog', { has: page.locator('.timeline') });
      await drawer.getByRole('button', { name: `Name the key ${row.key.slice(0, 8)}` }).click();
      await page.getByLabel('Name', { exact: true }).fill('alice of the tests');
      await page.getByRole('button', { name: 'Save', exact: true }).click();
      await drawer.locator('dd').getByText('alice of the tests').waitFor();
      assert.match((await visit.api('config')).overlay, new RegExp(`key_names:\\n +"?${row.key}"?: alice of the tests`));
      assert.deepEqual(await visit.violations(), []);
      await page.keyboard.press('Escape');
      await page.locator('[data-index]').getByText('alice of the tests · /v1/').first().waitFor();
      await page.getByRole('button', { name: 'Key', exact: true }).click();
      await page.getByRole('checkbox', { name: 'alice of the tests' }).check();
      await page.waitForURL(new RegExp(`key=${row.key}`));
    })));
});

describe('on a phone', () => {
  for (const path of ['/requests', '/requests?session=none', '/errors?range=30d', '/config?section=log', '/config?view=history', '/config?view=yaml', '/notify']) {
    test(`everything on ${path} is as large as a finger, and nothing hangs over`, () =>
      visiting({ width: 390 }, async (visit, page) => {
        await visit.open(path);
        if (path === '/requests') await page.getByRole('button', { name: 'Pause' }).click();
        assert.deepEqual(await visit.missed(), []);
        assert(await visit.overhang() <= 0);
        if (path !== '/requests') return;
        await page.getByRole('button', { name: /^Filters/ }).click();
        assert.deepEqual(await visit.missed(), []);
        await page.locator('[data-index] button').first().click();
        await page.locator('dialog .timeline').waitFor();
        assert.deepEqual(await visit.missed(), []);
      }));
  }
});

describe('the history of the configuration', { skip: IS_MOCK }, () => {
  test('marks one version as in force, and says in a line what each changed', () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      const [one, other] = ['gateway:\n  log:\n    keep: 51d\n', 'gateway:\n  log:\n    keep: 52d\n  limits:\n    queue: 7\n'];
      for (const overlay of [one, other, one]) await put(visit, overlay);
      await visit.open('/config?view=history');
      assert.equal(await page.getByText('In force', { exact: true }).count(), 1);
      const lines = page.locator('ol li .changes');
      assert.match(await lines.nth(0).innerText(), /log\.keep: 52d → 51d\s+limits\.queue taken back/);
      assert.match(await lines.nth(1).innerText(), /log\.keep: 51d → 52d\s+limits\.queue: 7/);
      await page.locator('ol li').nth(1).getByRole('button', { name: 'Compare' }).click();
      assert.equal(await page.locator('.diff').count(), 1);
      assert.deepEqual(await visit.violations(), []);
    })));
});

describe('errors', () => {
  test('are grouped by cause, with the upstreams that had them inside', () =>
    visiting({}, async (visit, page) => {
      await visit.open('/errors?range=30d');
      const causes = page.locator('article.cause');
      const titles = await causes.locator('.help b').allInnerTexts();
      assert.equal(new Set(titles).size, titles.length, 'each cause is there once');
      for (let at = 0; at < titles.length; at += 1) {
        const names = await causes.nth(at).locator('.upstream .name').allInnerTexts();
        assert(names.length > 0 && new Set(names).size === names.length, `${titles[at]}: ${names}`);
      }
      const name = page.locator('article.cause .upstream .name', { hasNotText: 'At no upstream' }).first();
      const upstream = await name.innerText();
      await name.click();
      await page.waitForURL((url) => url.searchParams.get('upstream') === upstream && url.searchParams.has('cause'));
    }));
});
