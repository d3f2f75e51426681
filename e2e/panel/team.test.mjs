// The team, with a gateway of its own: a user and a token are made, the token is shown once and works, is rotated and revoked.

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

for (const [locale, words] of [
  ['en-US', {
    page: 'Team', newUser: 'New user', newToken: 'New token', name: 'Name', add: 'Add', issue: 'Issue the token', models: 'Models', done: 'I have copied it', once: /only time that the token is shown/,
    rotate: 'Rotate', revoke: 'Revoke', overlap: 'not at all', revoked: 'Revoked', vscode: 'VS Code', suspend: 'Suspend', resume: 'Resume',
  }],
  ['zh-CN', {
    page: '团队', newUser: '新建用户', newToken: '签发令牌', name: '名称', add: '新建', issue: '签发', models: '模型', done: '我已复制', once: /令牌只显示这一次/,
    rotate: '轮换', revoke: '吊销', overlap: '立即', revoked: '已吊销', vscode: 'VS Code', suspend: '停用', resume: '恢复',
  }],
]) {
  test(`a user gets a token, which is shown once, rotated and revoked (${locale})`, () =>
    visiting({ locale }, async (visit, page) => {
      const user = `person-${locale.toLowerCase()}-${Date.now()}`;
      await visit.open('/');
      await page.getByRole('link', { name: words.page, exact: true }).click();
      await page.locator('.page-header').getByRole('button', { name: words.newUser, exact: true }).click();
      await page.locator('dialog').getByLabel(words.name, { exact: true }).fill(user);
      await page.locator('dialog').getByRole('button', { name: words.add, exact: true }).click();
      const ofUser = page.getByRole('row').filter({ hasText: user });
      await ofUser.first().waitFor();
      await page.locator('.page-header').getByRole('button', { name: words.newToken, exact: true }).click();
      await page.locator('dialog select').first().selectOption(user);
      await page.locator('dialog').getByLabel(words.models, { exact: true }).fill('claude-haiku-*');
      await page.locator('dialog').getByRole('button', { name: words.issue, exact: true }).click();
      await page.locator('dialog').getByText(words.once).waitFor();
      const token = await page.locator('dialog .token code').innerText();
      assert.match(token, /^agw_[0-9A-Za-z]{49}$/);
      const asked = (model, key) => own.ask({ model, key, use: [10, 0, 0, 1] });
      assert.deepEqual([await asked('claude-haiku-5-5', token), await asked('claude-opus-5-5', token)], [200, 404]);
      // The settings have it, for each client.
      await page.locator('dialog pre', { hasText: `ANTHROPIC_AUTH_TOKEN=${token}` }).waitFor();
      await page.locator('dialog').getByText(words.vscode, { exact: true }).click();
      await page.locator('dialog pre', { hasText: 'claudeCode.environmentVariables' }).filter({ hasText: token }).waitFor();
      await page.locator('dialog').getByRole('button', { name: words.done, exact: true }).click();
      const row = page.getByRole('row').filter({ hasText: `${user}/default` });
      await row.getByText('claude-haiku-*').waitFor();
      assert.ok(!(await page.content()).includes(token), 'it is nowhere any more');
      // It is rotated: another text is shown.
      await row.getByRole('button', { name: words.rotate, exact: true }).click();
      await page.locator('dialog').getByText(words.overlap, { exact: true }).click();
      await page.locator('dialog footer').getByRole('button', { name: words.rotate, exact: true }).click();
      await page.locator('dialog .token code').waitFor();
      const second = await page.locator('dialog .token code').innerText();
      assert.deepEqual([await asked('claude-haiku-5-5', token), await asked('claude-haiku-5-5', second)], [401, 200]);
      await page.locator('dialog').getByRole('button', { name: words.done, exact: true }).click();
      // The user is suspended, and is back.
      const person = page.getByRole('row').filter({ has: page.getByRole('button', { name: words.suspend, exact: true }) }).filter({ hasText: user });
      await person.getByRole('button', { name: words.suspend, exact: true }).click();
      await page.getByRole('row').filter({ hasText: user }).getByRole('button', { name: words.resume, exact: true }).waitFor();
      assert.equal(await asked('claude-haiku-5-5', second), 403);
      await page.getByRole('row').filter({ hasText: user }).getByRole('button', { name: words.resume, exact: true }).click();
      await person.waitFor();
      await row.getByRole('button', { name: words.revoke, exact: true }).click();
      await page.locator('dialog footer').getByRole('button', { name: words.revoke, exact: true }).click();
      await row.getByText(words.revoked, { exact: true }).waitFor();
      assert.equal(await row.getByRole('button').count(), 0);
      assert.equal(await asked('claude-haiku-5-5', second), 401);
      assert.deepEqual(await visit.violations(), []);
    }));
}

test('what is refused is said in the form, and stays there to be mended', () =>
  visiting({}, async (visit, page) => {
    await visit.open('/team');
    await page.locator('.page-header').getByRole('button', { name: 'New user', exact: true }).click();
    await page.locator('dialog').getByLabel('Name', { exact: true }).fill('a/b');
    await page.locator('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('dialog [role=alert]').getByText(/up to 64 letters/).waitFor();
    assert.equal(await page.locator('dialog').getByLabel('Name', { exact: true }).inputValue(), 'a/b');
  }, [/400/]));

test('where there is nobody yet, the page says what a team is for', () =>
  visiting({}, async (visit, page) => {
    await answering(page, 'users', () => ({ users: [] }));
    await answering(page, 'groups', () => ({ groups: [] }));
    await answering(page, 'tokens', () => ({ tokens: [] }));
    await visit.open('/team');
    await page.getByText('No users yet').waitFor();
    assert.ok(await page.locator('.page-header').getByRole('button', { name: 'New token', exact: true }).isDisabled());
    assert.deepEqual(await visit.violations(), []);
  }));
