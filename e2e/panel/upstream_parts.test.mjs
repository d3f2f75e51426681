// The parts of an upstream: its keys, at rest, woken and edited, its lines, and a message that tests it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { answering, Bench, keepingOverlay, visiting as visitingAt } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);
const key = (name, fingerprint, more = {}) => ({
  name, fingerprint, state: 'ready', reason: null, detail: '', detail_zh: '', since_ms: null, until_ms: null, weight: 1, in_flight: 0, max_in_flight: null, requests: 12, tokens: 48_000, cost: 0.31, balance: null, ...more,
});
/** Gives the first upstream these parts, and answers what is asked of its keys. */
async function withParts(page, parts, asked = []) {
  await answering(page, 'upstreams', ({ upstreams: [one, ...others], ...more }) => ({ ...more, upstreams: [{ ...one, ...parts }, ...others] }));
  await page.route('**/api/admin/upstreams/*/keys/**', (route) => {
    const [fingerprint, action] = route.request().url().split('/').slice(-2);
    asked.push([fingerprint, action, route.request().postDataJSON()]);
    const found = parts.keys.find((one) => one.fingerprint === fingerprint);
    const changed = action === 'wake' ? { state: 'ready', reason: null } : { state: 'resting', reason: 'operator', since_ms: Date.now(), until_ms: Date.now() + 3_600_000 };
    parts.keys = parts.keys.map((one) => (one === found ? { ...found, ...changed } : one));
    return route.fulfill({ json: { ...found, ...changed } });
  });
}

describe('the keys of an upstream', () => {
  test('say what is left on them, and why that is not known', () =>
    visiting({}, async (visit, page) => {
      const balance = { remaining: 0.62, is_unlimited: false, used: 9.38, unit: 'USD', rest_below: 1, reset_at: null, read_at: new Date().toISOString(), error: null };
      const error = { code: 'status', what: 'the upstream answered 401, not 200', what_zh: '上游返回了 401，而不是 200' };
      await withParts(page, { keys: [
        key('spare', '0f2c10bf3d128c71', { state: 'low', reason: 'balance', balance }), key('team', '77aa01b2c3d4e5f6', { balance: { ...balance, remaining: null, used: null, is_unlimited: true, rest_below: null } }),
        key('new', 'b41d0a9c7e52f386', { balance: { ...balance, remaining: null, used: null, unit: '', read_at: null, error } }),
      ] });
      await visit.open('/upstreams');
      const said = (at) => page.locator('li.key').nth(at).locator('.balance').innerText();
      assert.match(await said(0), /\$0\.620 · \$9\.38 used · new sessions go elsewhere below \$1\.00 · read/);
      assert.match(await said(1), /no limit/);
      assert.match(await said(2), /–[^]*The last reading failed: the upstream answered 401, not 200/);
      assert.deepEqual(await visit.violations(), []);
    }));


  test('say how they do and why, are put to rest for a while, and woken', () =>
    visiting({}, async (visit, page) => {
      const asked = [];
      const out = { state: 'disabled', reason: 'refused', detail: 'answered 401', detail_zh: '返回了 401', since_ms: Date.now() - 7_200_000 };
      await withParts(page, { keys: [key('team-a', '0f2c10bf3d128c71'), key(null, 'b41d0a9c7e52f386', out)] }, asked);
      await visit.open('/upstreams');
      const [one, two] = [page.locator('li.key').nth(0), page.locator('li.key').nth(1)];
      await page.getByText('1 of 2 usable').waitFor();
      await two.getByText('refused by the upstream · answered 401 · for 2 h').waitFor();
      assert.match(await one.innerText(), /12\n.*48K\n.*\$0\.31/s);
      await one.getByRole('button', { name: 'Rest' }).click();
      await page.getByRole('button', { name: '1 h', exact: true }).click();
      await one.getByText(/^by hand · for .* · back in/).waitFor();
      await two.getByRole('button', { name: 'Wake' }).click();
      await two.getByText('In use').waitFor();
      assert.deepEqual(asked, [['0f2c10bf3d128c71', 'rest', { for: '60m' }], ['b41d0a9c7e52f386', 'wake', {}]]);
      assert.deepEqual(await visit.violations(), []);
      await two.getByRole('link', { name: 'Its requests' }).click();
      await page.waitForURL(/upstream_key=b41d0a9c7e52f386/);
    }));

  test('are edited by a form, whose keys the list of upstreams has then', () =>
    visiting({}, async (visit, page) => keepingOverlay(visit, async () => {
      await visit.open('/upstreams');
      await page.getByRole('button', { name: 'Edit keys' }).first().click();
      const dialog = page.locator('dialog').first();
      await dialog.getByLabel('Key', { exact: true }).first().waitFor();
      while (await dialog.getByRole('button', { name: 'Remove' }).count() > 0) await dialog.getByRole('button', { name: 'Remove' }).first().click();
      for (const at of [0, 1]) {
        await dialog.getByRole('button', { name: 'Add a key' }).click();
        await dialog.getByLabel('Name').nth(at).fill('same');
      }
      await dialog.getByRole('button', { name: 'Preview' }).click();
      assert.equal(await dialog.getByText('A key is missing here.').count(), 2);
      await dialog.getByText('There is a key of this name already.').waitFor();
      for (const [at, name] of ['of-team', 'spare'].entries()) {
        await dialog.getByLabel('Key', { exact: true }).nth(at).fill(`sk-made-up-for-${name}`);
        await dialog.getByLabel('Name').nth(at).fill(name);
      }
      await dialog.getByLabel('Weight').nth(0).fill('2');
      await dialog.getByRole('switch').nth(1).click();
      assert.deepEqual(await visit.violations(), []);
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog ins').getByText('of-team').first().waitFor();
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.locator('dialog').first().waitFor({ state: 'detached' });
      const { overlay } = await visit.api('config');
      assert.match(overlay, /api_keys:\s.*\bname: of-team\b.*\bweight: 2\b.*\bname: spare\b.*\benabled: false\b/s);
    })));
});

test('the lines of an upstream say which is used, and what is wrong with another', () =>
  visiting({ locale: 'zh-CN' }, async (visit, page) => {
    const line = { host: 'a.example', state: 'used', connect_ms: 31.5, tls_ms: 33.0, probe_ms: 120.4, since_ms: Date.now() - 60_000, failures: 0, fault: null };
    const fault = { code: 'connect_refused', what: 'refused the connection', what_zh: '拒绝了连接' };
    await withParts(page, { lines: [line, { ...line, host: 'b.example', state: 'down', failures: 3, fault }] });
    await visit.open('/upstreams');
    const rows = page.getByRole('table', { name: '线路' }).getByRole('row');
    assert.match(await rows.nth(1).innerText(), /a\.example\s+使用中\s+32\s毫秒\s+33\s毫秒\s+120\s毫秒\s+0/);
    assert.match(await rows.nth(2).innerText(), /b\.example\s+拒绝了连接[^]*不可用\s+已持续 1\s分钟/);
  }));

const sent = { method: 'POST', target: '/v1/messages?beta=true', headers: [{ name: 'authorization', value: '********' }], bytes: 24_310, head_diff: '--- client\n+++ upstream\n@@ -1 +1 @@\n-host: a\n+host: b\n', body_diff: '' };
const finding = (id, severity, cause, cure) => ({ id, severity, cause_en: cause, cause_zh: cause, cure_en: cure, cure_zh: cure });
/** What a test of an upstream comes to whose message has this end. */
function tested(message) {
  const times = { dns_ms: null, connect_ms: 12.4, tls_ms: 30.2, first_byte_ms: 812.4, first_token_ms: null, total_ms: 1830.2, ...message.times };
  const whole = { key: 'spare', model: 'claude-haiku-4-5', status: 200, sent, came: null, ...message, times };
  const isGood = whole.finding.severity === 'ok';
  const parameters = { model: whole.model, key: whole.key, status: String(whole.status), said: 'no channel' };
  const step = { step: 'message', ok: isGood, milliseconds: times.total_ms, detail: '', code: isGood ? 'message_answered' : 'message_failed', parameters, message: whole };
  return {
    name: 'a', base_url: 'https://a.example', reachable: true, verdict: whole.finding.severity,
    ways: [{ via: 'direct', used_by_gateway: true, status: 200, steps: [step], findings: [whole.finding] }],
  };
}
async function answeringTests(page, asked, ...reports) {
  await page.route('**/api/admin/upstreams/*/test', (route) => {
    asked.push(route.request().postDataJSON());
    return route.fulfill({ json: reports.shift() });
  });
}

describe('a test with a message', () => {
  test('asks before it spends, and shows what went and what came', () =>
    visiting({}, async (visit, page) => {
      const asked = [];
      const last = { at: new Date(Date.now() - 600_000).toISOString(), is_scheduled: true, key: 'spare', model: 'claude-haiku-4-5', status: 429, finding: 'quota', cause_en: 'The quota is used up.', cause_zh: '额度已用完。', is_good: false, first_byte_ms: 80, total_ms: 81, cost: null };
      await withParts(page, { keys: [key('team', '77aa01b2c3d4e5f6'), key('spare', '0f2c10bf3d128c71', { state: 'disabled', reason: 'refused' })], last_test: last });
      await answeringTests(page, asked, tested({
        finding: finding('answered', 'ok', 'It answered.', 'Nothing to do.'), times: { first_token_ms: 815 },
        came: { headers: [{ name: 'request-id', value: 'r1' }], error_type: null, error_message: null, model: 'claude-haiku-4-5', stop_reason: 'max_tokens', tokens: { input: 5000, output: 1, cache_write: 0, cache_read: 211 }, cost: 0.0052 },
      }));
      await visit.open('/upstreams');
      const card = page.locator('article.card').first();
      await card.getByText(/Last scheduled test message, 10 min.* ago/).waitFor();
      await card.getByText(/failed: The quota is used up\..* · 429 · claude-haiku-4-5 · spare/).waitFor();
      await card.locator('li.key').nth(1).getByRole('button', { name: 'Test' }).click();
      const dialog = page.locator('dialog').first();
      await dialog.getByText(/It costs a little/).waitFor();
      assert.equal(await dialog.getByLabel('Key').inputValue(), '0f2c10bf3d128c71');
      assert.deepEqual(await visit.violations(), []);
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await dialog.waitFor({ state: 'detached' });
      assert.deepEqual(asked, [], 'nothing is sent before somebody says so');
      await card.locator('li.key').nth(1).getByRole('button', { name: 'Test' }).click();
      await dialog.getByLabel('Model').fill('sonnet');
      await dialog.getByRole('button', { name: 'Send the message' }).click();
      await card.getByText('Everything works').waitFor();
      assert.deepEqual(asked, [{ model: 'sonnet', key: '0f2c10bf3d128c71' }]);
      await card.getByText('claude-haiku-4-5 answered a message with the key spare: 200').waitFor();
      assert.match(await card.locator('.message').innerText(), /812\sms[^]*1\.83\ss[^]*5,211 → 1[^]*\$0\.0052[^]*max_tokens/);
      await card.getByText(/What was sent/).click();
      await card.getByText('authorization: ********').waitFor();
      await card.getByText('host: b').waitFor();
      await card.getByText('Headers of the response').click();
      await card.getByText('request-id: r1').waitFor();
      assert.deepEqual(await visit.violations(), []);
    }));

  test('of an upstream without keys takes one along, and a failure is no success', () =>
    visiting({ locale: 'zh-CN' }, async (visit, page) => {
      const asked = [];
      await withParts(page, { keys: [], last_test: null });
      await answeringTests(page, asked, tested({
        status: 503, finding: finding('no_channel', 'problem', '该分组下没有这个模型', '请更换模型'),
        came: { headers: [], error_type: 'new_api_error', error_message: 'no channel', model: null, stop_reason: null, tokens: null, cost: null },
      }));
      await visit.open('/upstreams');
      const card = page.locator('article.card').first();
      await card.getByRole('button', { name: '用模型测试' }).click();
      const dialog = page.locator('dialog').first();
      await dialog.getByLabel('中转站密钥').fill('sk-made-up');
      await dialog.getByRole('button', { name: '发送消息' }).click();
      await card.getByText('存在问题').waitFor();
      assert.deepEqual(asked, [{ model: 'haiku', client_key: 'sk-made-up' }]);
      await card.getByText(/503，“no channel”/).waitFor();
      await card.getByText('该分组下没有这个模型').waitFor();
      assert.match(await card.locator('.message').innerText(), /new_api_error/);
    }));
});
