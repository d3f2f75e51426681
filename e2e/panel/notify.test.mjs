// Notifications: what the targets say, a test that arrives and one that does not, and what to do where there is none.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { answering, Bench, visiting as visitingAt } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);
const said = { en: 'the bot refused it: sign match fail', zh: '机器人拒绝了消息：sign match fail' };
const target = {
  name: 'ops', kind: 'dingtalk', host: 'oapi.dingtalk.com', events: ['all_down', 'of_tomorrow'], language: 'zh-CN', proxy: null, sent: 3, failed: 2, dropped: 0, waiting: 1,
  last: { at_ms: Date.now() - 240_000, ok: false, code: 'refused', said },
};
const recent = [{ at_ms: Date.now() - 240_000, event: 'all_down', text: { en: 'no upstream is left', zh: '没有可用的上游' } }];

for (const [locale, words] of [
  ['en-US', { page: 'Notifications', event: 'All upstreams down', why: said.en, text: 'no upstream is left', test: 'Send a test', ok: /^The test was taken within 83\sms/, bad: `The test did not arrive: ${said.en}` }],
  ['zh-CN', { page: '通知', event: '全部上游不可用', why: said.zh, text: '没有可用的上游', test: '发送测试消息', ok: /^测试消息已送达，用时 83\s毫秒/, bad: `测试消息未送达：${said.zh}` }],
]) {
  test(`a target says what it is told of and why the last message failed, and is tested (${locale})`, () =>
    visiting({ locale }, async (visit, page) => {
      await answering(page, 'notify', () => ({ targets: [target], recent }));
      const answers = [{ ok: false, code: 'refused', said }, { ok: true, code: 'ok', said: null }];
      const asked = [];
      await page.route('**/api/admin/notify/test', (route) => {
        asked.push(route.request().postDataJSON());
        return route.fulfill({ json: { target: 'ops', kind: 'dingtalk', status: 200, milliseconds: 83, ...answers.shift() } });
      });
      await visit.open('/');
      await page.getByRole('link', { name: words.page }).click();
      const card = page.locator('article');
      await card.getByText(words.event, { exact: true }).waitFor();
      await card.getByText('of_tomorrow', { exact: true }).waitFor();
      await card.locator('pre', { hasText: words.why }).waitFor();
      await page.locator('.recent').getByText(words.text).waitFor();
      await card.getByRole('button', { name: words.test }).click();
      await card.getByRole('status').getByText(words.bad).waitFor();
      await card.getByRole('button', { name: words.test }).click();
      await card.getByRole('status').getByText(words.ok).waitFor();
      assert.deepEqual(asked, [{ target: 'ops' }, { target: 'ops' }]);
      assert.deepEqual(await visit.violations(), []);
    }));
}

test('where there is no target, the page shows how to make one', () =>
  visiting({}, async (visit, page) => {
    await answering(page, 'notify', () => ({ targets: [], recent: [] }));
    await visit.open('/notify');
    await page.getByText('Nobody is told yet').waitFor();
    assert.match(await page.locator('figure pre').innerText(), /targets:\n +- name: ops/);
    assert.deepEqual(await visit.violations(), []);
  }));
