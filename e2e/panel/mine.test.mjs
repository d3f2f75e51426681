// The audit, the page of a token, and what the holder of a token sees: with a gateway of its own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { answering, Bench, visiting as visitingAt } from './harness.mjs';
import { OwnGateway } from './own_gateway.mjs';

let own;
let bench;
before(async () => {
  own = await OwnGateway.start({ isKeyed: true });
  bench = await Bench.start({ url: own.url, key: own.key });
});
after(async () => {
  await bench?.stop();
  await own?.stop();
});

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);

/** Changes something of the team with the panel's key. */
async function team(method, path, body = {}) {
  const answer = await fetch(`${own.url}/api/admin/${path}`, {
    method, headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, `${method} ${path}`);
  return answer.json();
}

for (const [locale, words] of [
  ['en-US', {
    page: 'Audit', issued: 'Token issued', changed: 'Token changed', suspended: 'User suspended', key: 'The panel’s key', models: 'Models', unset: 'not set', what: 'What', none: 'No change matches', clear: 'Clear filters',
  }],
  ['zh-CN', {
    page: '审计日志', issued: '签发令牌', changed: '修改令牌', suspended: '停用用户', key: '面板密钥', models: '模型', unset: '未设置', what: '操作', none: '没有符合条件的记录', clear: '清除筛选',
  }],
]) {
  test(`the audit says who changed what, and what it was before (${locale})`, () =>
    visiting({ locale, width: locale === 'en-US' ? 1440 : 390 }, async (visit, page) => {
      const user = `audited-${locale.toLowerCase()}`;
      const { id } = await team('POST', 'users', { name: user });
      const { id: token, token: text } = await team('POST', 'tokens', { user, name: 'laptop' });
      await team('PATCH', `tokens/${token}`, { models: ['claude-haiku-*', 'claude-opus-*'] });
      await team('PATCH', `users/${id}`, { state: 'suspended' });
      await visit.open('/audit');
      assert.match(await page.title(), new RegExp(words.page));
      // The newest first.
      const entries = page.getByRole('listitem').filter({ hasText: user });
      assert.deepEqual(await entries.locator('.chip').allInnerTexts().then((texts) => texts.slice(0, 3)), [words.suspended, words.changed, words.issued]);
      const changed = entries.filter({ hasText: words.changed });
      await changed.getByText(words.key, { exact: true }).waitFor();
      await changed.getByText('127.0.0.1').waitFor();
      assert.match((await changed.locator('dd').innerText()).replaceAll('\n', ' '), new RegExp(`${words.unset}.*claude-haiku-\\*.*claude-opus-\\*`));
      assert.ok(!(await page.content()).includes(text), 'no secret is shown');
      // What is looked for stands in the URL.
      await page.locator('.filters').getByRole('button', { name: words.what, exact: true }).click();
      await page.getByRole('checkbox', { name: words.suspended, exact: true }).check();
      await page.waitForURL(/action=user\.suspend/);
      await page.keyboard.press('Escape');
      assert.deepEqual(await page.locator('.entry .chip').allInnerTexts().then((texts) => [...new Set(texts)]), [words.suspended]);
      await page.locator('input[type=search]').fill('nobody of this name');
      await page.getByText(words.none, { exact: true }).waitFor();
      await page.getByRole('button', { name: words.clear, exact: true }).click();
      await entries.first().waitFor();
      assert.equal(await visit.overhang(), 0);
      assert.deepEqual(await visit.violations(), []);
    }));
}

test('the audit goes back page by page, and a filter finds what is far behind', () =>
  visiting({}, async (visit, page) => {
    const rows = Array.from({ length: 2_500 }, (_, index) => ({
      id: 2_500 - index, at_ms: Date.now() - index * 60_000, actor: index === 2_400 ? 'command line, user root' : 'the panel', address: null, action: 'group.create', target: `grp_${index}`,
      before: null, after: { id: `grp_${index}`, name: `group ${2_500 - index}`, time_zone: 'UTC', created_at_ms: 0 },
    }));
    const asked = [];
    await page.route('**/api/admin/audit?*', (route) => {
      const query = new URL(route.request().url()).searchParams;
      asked.push(Object.fromEntries(query));
      const changes = rows.filter(({ id }) => id < Number(query.get('before') ?? Infinity)).slice(0, Number(query.get('limit')));
      return route.fulfill({ json: { changes, next: changes.at(-1).id === 1 ? null : changes.at(-1).id } });
    });
    await visit.open('/audit');
    assert.equal(await page.locator('.entry').count(), 100);
    await page.getByRole('button', { name: 'Older changes', exact: true }).click();
    await page.getByText('group 2301', { exact: true }).first().waitFor();
    assert.equal(await page.locator('.entry').count(), 200);
    await page.locator('input[type=search]').fill('user root');
    await page.getByText('Command line, user root', { exact: true }).waitFor();
    assert.equal(await page.locator('.entry').count(), 1);
    assert.ok(asked.length <= 6, `${asked.length} pages for all`);
    assert.equal(await page.getByRole('button', { name: 'Older changes', exact: true }).count(), 0);
  }));
