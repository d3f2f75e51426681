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

/** A user with a token, and the group that the user is in. */
async function holder(name, { group = null, ...more } = {}) {
  const user = await team('POST', 'users', { name, group, ...more });
  const { id, token } = await team('POST', 'tokens', { user: name });
  return { user, id, token };
}
/** One dollar, at the prices of this gateway. */
const DOLLAR = { model: 'claude-dear', use: [100_000, 0, 0, 0] };
const askedOf = (token, session = null, model = DOLLAR.model) => own.ask({ ...DOLLAR, model, key: token, session });

for (const [locale, words] of [
  ['en-US', {
    add: 'Add a limit', set: 'Set the limit', dollars: 'Dollars', unused: '$0.00 of $5.00 used', used: '$1.00 of $5.00 used', left: '$4.00 left', resets: /begins again at .* in /, change: 'Change: $5.00 a day', less: '$1.00 of $2.00 used',
    remove: 'Remove: $2.00 a day', none: 'No limits.', of: 'Of this token', requests: 'Its requests', sessions: 'Its sessions', costs: 'Its costs', waste: 'Its cache waste', edit: 'Change', models: 'Models', save: 'Save', suspend: 'Suspend', resume: 'Resume', rotate: 'Rotate',
    done: 'I have copied it', revoke: 'Revoke', revoked: 'Revoked', wrong: /A number above 0/,
  }],
  ['zh-CN', {
    add: '添加限额', set: '设置限额', dollars: '美元', unused: '已用 $0.00 / $5.00', used: '已用 $1.00 / $5.00', left: '余量 $4.00', resets: /重置（还有/, change: '修改：每天 $5.00', less: '已用 $1.00 / $2.00',
    remove: '取消：每天 $2.00', none: '没有限额。', of: '此令牌', requests: '查看请求', sessions: '查看会话', costs: '查看费用', waste: '查看缓存浪费', edit: '修改', models: '模型', save: '保存', suspend: '停用', resume: '恢复', rotate: '轮换',
    done: '我已复制', revoke: '吊销', revoked: '已吊销', wrong: /须为大于 0 的数/,
  }],
]) {
  test(`the page of a token sets limits, shows what is used, and changes the token (${locale})`, () =>
    visiting({ locale, width: locale === 'en-US' ? 1440 : 390 }, async (visit, page) => {
      const name = `limited-${locale.toLowerCase()}`;
      const { id, token } = await holder(name);
      await visit.open('/team');
      await page.getByRole('link', { name: `${name}/default`, exact: true }).click();
      await page.waitForURL(new RegExp(`/team/tokens/${id}`));
      const limits = page.getByRole('region', { name: words.of, exact: true });
      await limits.getByText(words.none, { exact: true }).waitFor();
      await limits.getByRole('button', { name: words.add, exact: true }).click();
      await limits.getByLabel(words.dollars, { exact: true }).fill('five');
      await limits.getByText(words.wrong).waitFor();
      assert.ok(await limits.getByRole('button', { name: words.set, exact: true }).isDisabled());
      await limits.getByLabel(words.dollars, { exact: true }).fill('5');
      await limits.getByRole('button', { name: words.set, exact: true }).click();
      // What is spent before a limit is set does not count.
      await limits.getByText(words.unused, { exact: true }).waitFor();
      assert.equal(await askedOf(token), 200);
      // The bar follows by itself.
      await limits.getByText(words.used, { exact: true }).waitFor({ timeout: 20_000 });
      await limits.getByText(words.left, { exact: true }).waitFor();
      await limits.getByText(words.resets).waitFor();
      assert.equal(await limits.getByRole('meter').getAttribute('aria-valuenow'), '20');
      assert.deepEqual(await visit.violations(), []);
      assert.equal(await visit.overhang(), 0);
      await limits.getByRole('button', { name: words.change, exact: true }).click();
      await limits.getByLabel(words.dollars, { exact: true }).fill('2');
      await limits.getByRole('button', { name: words.set, exact: true }).click();
      await limits.getByText(words.less, { exact: true }).waitFor();
      await limits.getByRole('button', { name: words.remove, exact: true }).click();
      await limits.getByText(words.none, { exact: true }).waitFor();
      // Its requests, and what they cost.
      await page.locator('.facts').getByText('$1.00', { exact: true }).waitFor({ timeout: 20_000 });
      for (const [link, path] of Object.entries({ requests: 'requests', sessions: 'sessions', costs: 'costs', waste: 'waste' })) {
        assert.match(await page.getByRole('link', { name: words[link], exact: true }).getAttribute('href'), new RegExp(`/${path}\\?.*token=${id}`));
      }
      // The settings name no text: nobody has it any more.
      await page.locator('pre', { hasText: 'ANTHROPIC_AUTH_TOKEN=agw_...' }).waitFor();
      await page.getByText('VS Code', { exact: true }).click();
      await page.locator('pre', { hasText: 'claudeCode.environmentVariables' }).waitFor();
      await page.getByText('Python', { exact: true }).click();
      await page.locator('pre', { hasText: 'claude_agent_sdk' }).waitFor();
      // It is changed.
      const head = page.locator('.page-header');
      await head.getByRole('button', { name: words.edit, exact: true }).click();
      await page.locator('dialog').getByLabel(words.models, { exact: true }).fill('claude-dear');
      await page.locator('dialog').getByRole('button', { name: words.save, exact: true }).click();
      await page.locator('.facts').getByText('claude-dear', { exact: true }).waitFor();
      assert.equal(await askedOf(token, null, 'claude-cheap'), 404);
      await head.getByRole('button', { name: words.suspend, exact: true }).click();
      await head.getByRole('button', { name: words.resume, exact: true }).waitFor();
      assert.equal(await askedOf(token), 403);
      await head.getByRole('button', { name: words.resume, exact: true }).click();
      await head.getByRole('button', { name: words.suspend, exact: true }).waitFor();
      await head.getByRole('button', { name: words.rotate, exact: true }).click();
      await page.locator('dialog footer').getByRole('button', { name: words.rotate, exact: true }).click();
      assert.match(await page.locator('dialog .token code').innerText(), /^agw_/);
      await page.locator('dialog').getByRole('button', { name: words.done, exact: true }).click();
      await head.getByRole('button', { name: words.revoke, exact: true }).click();
      await page.locator('dialog footer').getByRole('button', { name: words.revoke, exact: true }).click();
      await page.locator('.facts').getByText(words.revoked, { exact: true }).waitFor();
      assert.equal(await askedOf(token), 401);
    }));
}

test('costs, sessions and requests are asked for by user, group and token, by their names', () =>
  visiting({}, async (visit, page) => {
    await team('POST', 'groups', { name: 'payers', time_zone: 'UTC' });
    const [payer, other] = [await holder('payer', { group: 'payers' }), await holder('other-payer')];
    for (const [token, session] of [[payer.token, 'of-payer'], [other.token, 'of-other'], [other.token, 'of-other']]) assert.equal(await askedOf(token, session), 200);
    const choose = async (filter, choice) => {
      await page.getByRole('button', { name: filter, exact: true }).click();
      await page.getByRole('checkbox', { name: choice, exact: true }).check();
      await page.keyboard.press('Escape');
    };
    await visit.open('/costs?range=1h');
    await choose('User', 'payer');
    await page.waitForURL(/user=payer/);
    const spent = page.locator('.figures .value').first();
    await spent.getByText('$1.00', { exact: true }).waitFor({ timeout: 20_000 });
    assert.match(await spent.getByRole('link').getAttribute('href'), /user=payer/);
    assert.deepEqual(await visit.violations(), []);
    await visit.open('/costs?range=1h');
    await choose('Client token', 'other-payer/default');
    await page.waitForURL(new RegExp(`token=${other.id}`));
    await spent.getByText('$2.00', { exact: true }).waitFor({ timeout: 20_000 });
    await visit.open('/sessions?range=1h');
    await choose('User group', 'payers');
    await page.waitForURL(/group=payers/);
    await page.getByRole('status').filter({ hasText: '1 session' }).waitFor();
    await page.getByTitle('of-payer', { exact: true }).waitFor();
    await visit.open(`/waste?range=1h&token=${other.id}`);
    await page.getByRole('button', { name: /^Client token/ }).waitFor();
    await visit.open(`/requests?token=${other.id}`);
    await page.getByRole('button', { name: /^Client token/ }).click();
    assert.ok(await page.getByRole('checkbox', { name: 'other-payer/default', exact: true }).isChecked());
  }));

test('what is refused is said in the language of the panel', () =>
  visiting({ locale: 'zh-CN' }, async (visit, page) => {
    await visit.open('/team');
    await page.locator('.page-header').getByRole('button', { name: '新建用户', exact: true }).click();
    await page.locator('dialog').getByLabel('名称', { exact: true }).fill('a/b');
    await page.locator('dialog').getByRole('button', { name: '新建', exact: true }).click();
    const said = await page.locator('dialog [role=alert]').innerText();
    assert.match(said, /64/);
    assert.doesNotMatch(said, /letters|name/);
  }, [/400/]));

test('limits of users and groups are set on the page of the team', () =>
  visiting({}, async (visit, page) => {
    await team('POST', 'groups', { name: 'crew', time_zone: 'Asia/Shanghai' });
    const { token } = await holder('crewmate', { group: 'crew' });
    await visit.open('/team');
    await page.getByRole('region', { name: 'Groups', exact: true }).getByRole('row').filter({ hasText: 'crew' }).getByRole('button', { name: 'Limits', exact: true }).click();
    const dialog = page.locator('dialog');
    await dialog.getByRole('button', { name: 'Add a limit', exact: true }).click();
    await dialog.getByLabel('What counts', { exact: true }).selectOption('requests');
    await dialog.getByLabel('Time', { exact: true }).selectOption('day');
    await dialog.getByLabel('Amount', { exact: true }).fill('1');
    await dialog.getByRole('button', { name: 'Set the limit', exact: true }).click();
    await dialog.getByText('1 request a day', { exact: true }).waitFor();
    assert.deepEqual(await visit.violations(), []);
    assert.deepEqual([await askedOf(token), await askedOf(token)], [200, 429]);
    await dialog.getByText('Used up', { exact: true }).waitFor({ timeout: 20_000 });
  }));


/** Logs in as people do. */
async function logIn(visit, text) {
  const { page } = visit;
  await page.goto(`${bench.url}/admin/`);
  await page.waitForURL(/\/login/);
  await page.getByLabel(/^(Key or token|密钥或令牌)$/).fill(text);
  await page.getByRole('button', { name: /^(Sign in|登录)$/ }).click();
}

for (const [locale, words] of [
  ['en-US', { page: 'My usage', limit: '$5.00 a day', hidden: /shared with the group/, rotate: 'Rotate', now: 'not at all', done: 'I have copied it', out: 'Sign out' }],
  ['zh-CN', { page: '我的用量', limit: '每天 $5.00', hidden: /用户组共用/, rotate: '轮换', now: '立即', done: '我已复制', out: '退出登录' }],
]) {
  test(`whoever logs in with a token sees the own, and nothing of others (${locale})`, () =>
    visiting({ locale, isSignedIn: false }, async (visit, page) => {
      const [mine, other] = [`holder-${locale.toLowerCase()}`, `stranger-${locale.toLowerCase()}`];
      const group = `group-${locale.toLowerCase()}`;
      await team('POST', 'groups', { name: group });
      const { id, token } = await holder(mine, { group });
      const stranger = await holder(other, { group });
      await team('PUT', 'limits', { subject: 'token', id, measure: 'usd', window: 'day', amount: 5 });
      await team('PUT', 'limits', { subject: 'group', id: group, measure: 'usd', window: 'month', amount: 100 });
      const [ownSession, otherSession] = [`11111111-${mine}`, `22222222-${other}`];
      assert.equal(await askedOf(token, ownSession), 200);
      assert.deepEqual([await askedOf(stranger.token, otherSession), await askedOf(stranger.token, otherSession)], [200, 200]);
      await own.logged(1, ownSession);
      await own.logged(2, otherSession);
      await logIn(visit, token);
      await page.getByRole('heading', { name: words.page, level: 1 }).waitFor();
      await visit.settled();
      await page.getByText(words.limit, { exact: true }).waitFor();
      await page.locator('.facts').getByText('$1.00', { exact: true }).first().waitFor({ timeout: 20_000 });
      await page.getByText(words.hidden).waitFor();
      await page.locator('tbody code', { hasText: '11111111' }).waitFor();
      const shown = await page.content();
      for (const text of [other, '22222222', stranger.id, '$2.00', '$3.00', token]) assert.ok(!shown.includes(text), text);
      assert.deepEqual(await page.locator('nav a').allInnerTexts(), [words.page]);
      assert.deepEqual(await visit.violations(), []);
      // Other pages lead back, and the palette knows none.
      for (const path of ['/requests', '/team', '/audit', `/team/tokens/${stranger.id}`]) {
        await page.goto(`${bench.url}/admin${path}`);
        await page.getByRole('heading', { name: words.page, level: 1 }).waitFor();
        assert.match(page.url(), /\/admin\/me/);
      }
      await page.setViewportSize({ width: 390, height: 844 });
      await visit.drawn();
      assert.equal(await visit.overhang(), 0);
      await page.setViewportSize({ width: 1440, height: 900 });
      // The own token is rotated: the old text ends at once, and the session goes on with the new one.
      await page.locator('main').getByRole('button', { name: words.rotate, exact: true }).click();
      await page.locator('dialog').getByText(words.now, { exact: true }).click();
      const again = page.waitForResponse((answer) => answer.url().endsWith('/api/admin/session') && answer.request().method() === 'POST');
      await page.locator('dialog footer').getByRole('button', { name: words.rotate, exact: true }).click();
      const next = await page.locator('dialog .token code').innerText();
      assert.equal((await again).status(), 204);
      assert.deepEqual([await askedOf(token), await askedOf(next)], [401, 200]);
      await page.locator('dialog').getByRole('button', { name: words.done, exact: true }).click();
      await page.reload();
      await page.getByRole('heading', { name: words.page, level: 1 }).waitFor();
      // A revoked token ends the session, too.
      await team('DELETE', `tokens/${id}`);
      await page.waitForURL(/\/login/, { timeout: 20_000 });
      await page.getByLabel(/^(Key or token|密钥或令牌)$/).fill(next);
      await page.getByRole('button', { name: /^(Sign in|登录)$/ }).click();
      await page.locator('#problem').getByText(locale === 'en-US' ? /revoked/ : /吊销/).waitFor();
    }, [/401/]));
}

test('the token of an admin opens the whole panel, with the name of its user', () =>
  visiting({ isSignedIn: false }, async (visit, page) => {
    const { token } = await holder('boss', { role: 'admin' });
    await logIn(visit, token);
    await page.getByRole('heading', { name: 'Dashboard', level: 1 }).waitFor();
    await page.locator('.side').getByText('boss', { exact: true }).waitFor();
    for (const name of ['My usage', 'Requests', 'Team', 'Audit']) await page.locator('.side nav').getByRole('link', { name, exact: true }).waitFor();
    await page.locator('.side nav').getByRole('link', { name: 'Team', exact: true }).click();
    await page.locator('.page-header').getByRole('button', { name: 'New user', exact: true }).click();
    await page.locator('dialog').getByLabel('Name', { exact: true }).fill('made-by-boss');
    await page.locator('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('row').filter({ hasText: 'made-by-boss' }).waitFor();
    await page.locator('.side nav').getByRole('link', { name: 'Audit', exact: true }).click();
    await page.getByRole('listitem').filter({ hasText: 'made-by-boss' }).getByText('boss (default)', { exact: true }).waitFor();
    await page.locator('.side nav').getByRole('link', { name: 'My usage', exact: true }).click();
    await page.getByRole('heading', { name: 'My usage', level: 1 }).waitFor();
    await visit.settled();
    assert.deepEqual(await visit.violations(), []);
  }, [/401/]));
