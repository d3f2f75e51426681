// Rules by form, with their YAML beside it: templates, both ways without loss, a dry run before they are applied, and their order.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench, IS_MOCK, keepingOverlay, visiting as visitingAt } from './harness.mjs';
import { IS_BUILT, OwnGateway } from './own_gateway.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);
async function put(visit, overlay) {
  const { version } = await visit.api('config');
  const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
  assert.equal(answer.status(), 200, await answer.text());
}
const overlayOf = async (visit) => (await visit.api('config')).overlay;
/** What the editor of the YAML shows. */
const yaml = async (page) => (await page.locator('dialog .cm-line').allInnerTexts()).map((line) => line.replace(/\n$/, '')).join('\n');
async function apply(page) {
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.locator('dialog').first().waitFor({ state: 'detached' });
}
/** Two upstreams, and these rules. */
async function withRules(visit, rules) {
  const [{ url }] = (await visit.api('upstreams')).upstreams;
  await put(visit, `gateway:\n  upstreams:\n    - {name: one, base_url: "${url}", profile: anyrouter}\n    - {name: two, base_url: "${url}/two", priority: 1, profile: none}\n  rules:${rules}`);
  await visit.open('/rules');
}
const section = (page, upstream) => page.locator(`section[data-upstream="${upstream}"]`);

const WHOLE = `
    # of ours
    - name: whole   # unique
      match:
        method: POST
        path: [/v1/messages, {prefix: /v1/models}]   # two of them
        not: {header: {x-retry: {present: true}}}
      headers:
        set:
          X-Team: platform   # who
        rename: {X-Old: X-New}
      body:
        set: {/metadata/user_id: somebody}
    - name: other
      headers: {set: {X-Other: "1"}}
`;

describe('a rule', () => {
  const templates = {
    'Set a header': [/headers:\n +set:\n +X-Team: research/, async (dialog) => dialog.getByLabel('Set headers: Value 1').fill('research')],
    'Beta flag': [/list_add:\n +anthropic-beta: other-flag/, async (dialog) => dialog.getByLabel('Add to a comma list: Value 1').fill('other-flag')],
    'Query parameter': [/query:\n +set:\n +beta: "?false"?\n/, async (dialog) => dialog.getByLabel('Set parameters: Value 1').fill('false')],
    'Model names': [/model:\n +"\*haiku\*": claude-haiku-5-5/, async (dialog) => dialog.getByLabel('Other names for models: Sent 1').fill('claude-haiku-5-5')],
    'System prompt': [/system:\n +mode: prepend\n +target: last\n +text: "?Be kind/, async (dialog) => {
      await dialog.getByLabel('Do', { exact: true }).selectOption('prepend');
      await dialog.getByLabel('Text', { exact: true }).fill('Be kind');
    }],
    'Answer at once': [/respond:\n +status: 204/, async (dialog) => dialog.getByLabel('Status').fill('204')],
  };
  test('is made of each template by form, and is in force then', { skip: IS_MOCK }, () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await withRules(visit, ' []\n');
      for (const [template, [wanted, change]] of Object.entries(templates)) {
        await section(page, 'one').getByRole('button', { name: 'New rule' }).click();
        const dialog = page.locator('dialog').first();
        await dialog.locator('.cm-content').waitFor();
        await dialog.getByLabel('Begin with').selectOption({ label: template });
        const name = await dialog.getByLabel('Name', { exact: true }).inputValue();
        await change(dialog);
        assert.match(await yaml(page), wanted, template);
        assert.deepEqual(await visit.violations(), [], template);
        await visit.screenshot(`rule-form-${name}-en-light-1440`);
        await apply(page);
        const overlay = await overlayOf(visit);
        assert.match(overlay, wanted, template);
        const rule = overlay.split(`- name: ${name}\n`)[1]?.split('- name:')[0] ?? '';
        // Under an upstream a new rule is one for it; what answers at once comes before any is chosen.
        assert.equal(/upstream: one\n/.test(rule), template !== 'Answer at once', rule);
        const { upstreams } = await visit.api('rules');
        assert(upstreams.some(({ rules }) => rules.some((one) => one.name === name && one.is_enabled)), name);
      }
      await section(page, 'two').getByText('only for one').first().waitFor();
    })));

  test('stands in form and YAML alike, and loses nothing on the way', { skip: IS_MOCK }, () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await withRules(visit, WHOLE);
      await page.getByRole('button', { name: 'Edit whole' }).first().click();
      const dialog = page.locator('dialog').first();
      await dialog.locator('.cm-content').waitFor();
      // What only the YAML can say is named.
      assert.deepEqual(await dialog.locator('.notice code').allInnerTexts(), ['match.path', 'match.not', 'headers.rename', 'body.set']);
      const before = await yaml(page);
      await dialog.getByLabel('Set headers: Value 1').fill('research');
      await dialog.getByLabel('Model asked for').fill('claude-opus-*, *sonnet*');
      const changed = await yaml(page);
      assert.match(changed, /X-Team: research +# who/);
      assert.match(changed, /model: \[ ?claude-opus-\*, "\*sonnet\*" ?\]/);
      for (const kept of ['# unique', '# two of them', 'prefix: /v1/models', 'X-Old: X-New', '/metadata/user_id: somebody']) assert(changed.includes(kept), `${kept} in\n${changed}`);
      // And the other way: what is typed in the YAML is in the form.
      await dialog.getByLabel('Model asked for').fill('');
      assert(!(await yaml(page)).includes('model:'));
      await dialog.locator('.cm-line', { hasText: 'method: POST' }).click();
      await page.keyboard.press('End');
      await page.keyboard.press('Enter');
      await page.keyboard.type('model: claude-x # typed');
      await page.waitForFunction(() => [...document.querySelectorAll('dialog input')].some(({ value }) => value === 'claude-x'));
      assert.equal(await dialog.getByLabel('Model asked for').inputValue(), 'claude-x');
      await visit.screenshot('rule-form-whole-en-light-1440');
      await apply(page);
      const overlay = await overlayOf(visit);
      for (const kept of ['# unique', '# two of them', 'prefix: /v1/models', 'X-Old: X-New', '/metadata/user_id: somebody', 'model: claude-x # typed', 'X-Team: research', '- name: other']) assert(overlay.includes(kept), `${kept} in\n${overlay}`);
      assert.notEqual(before, changed);
    })));

  test('that cannot be read has no form, and its fault is told', { skip: IS_MOCK }, () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await withRules(visit, WHOLE);
      await page.getByRole('button', { name: 'Edit other' }).first().click();
      await page.locator('dialog .cm-content').click();
      await page.keyboard.press('Control+End');
      await page.keyboard.type('a: b: c');
      await page.getByText('As long as the YAML cannot be read there is no form.').waitFor();
      await page.locator('dialog [role=alert]').waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Discard them' }).click();
      await page.locator('dialog').first().waitFor({ state: 'detached' });
    })));
});

describe('a dry run of a rule', () => {
  test('is made before it is applied, on a sample and on a past request', { skip: IS_MOCK }, () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await withRules(visit, WHOLE);
      const before = await overlayOf(visit);
      await section(page, 'one').getByRole('button', { name: 'New rule' }).click();
      const dialog = page.locator('dialog').first();
      await dialog.locator('.cm-content').waitFor();
      await dialog.getByLabel('Begin with').selectOption({ label: 'Set a header' });
      await dialog.getByLabel('Set headers: Value 1').fill('never-applied');
      await dialog.getByRole('button', { name: 'Try this rule' }).click();
      await dialog.locator('.rules li.about.check', { hasText: 'set-header' }).waitFor();
      await dialog.locator('ins', { hasText: 'never-applied' }).first().waitFor();
      await visit.screenshot('rule-trial-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      // What is changed afterwards is told as not tried.
      await dialog.getByLabel('Path', { exact: true }).fill('/v1/elsewhere');
      await dialog.getByText('The rule was changed since: try it again.').waitFor();
      await dialog.getByRole('button', { name: 'Try this rule' }).click();
      await dialog.locator('.rules li.about.close', { hasText: 'does not match' }).waitFor();
      await dialog.getByLabel('Path', { exact: true }).fill('');
      await dialog.getByText('A past request', { exact: true }).click();
      await dialog.getByLabel('A past request').locator('option').nth(1).waitFor({ state: 'attached' });
      await dialog.locator('#trial-past').selectOption({ index: 1 });
      await dialog.getByRole('button', { name: 'Try this rule' }).click();
      await dialog.locator('.rules li.about.check', { hasText: 'set-header' }).waitFor();
      assert.equal(await overlayOf(visit), before, 'nothing is applied');
    })));
});

describe('the order of rules', () => {
  test('is changed with the keyboard, and comes into force after a preview', { skip: IS_MOCK }, () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await withRules(visit, WHOLE);
      await page.getByRole('button', { name: 'Change order' }).click();
      await page.getByRole('button', { name: /^Move other: drag/ }).focus();
      await page.keyboard.press('ArrowUp');
      assert.deepEqual(await page.locator('dialog li code').allInnerTexts(), ['other', 'whole']);
      assert.deepEqual(await visit.violations(), []);
      await page.getByRole('button', { name: 'Preview' }).click();
      await apply(page);
      const { upstreams } = await visit.api('rules');
      assert.deepEqual(upstreams[0].rules.filter(({ source }) => source === 'operator').map(({ name }) => name), ['other', 'whole']);
      assert((await overlayOf(visit)).includes('# two of them'));
    })));
});

describe('by default settings', { skip: !IS_BUILT }, () => {
  let own;
  let ownBench;
  before(async () => {
    own = await OwnGateway.start();
    ownBench = await Bench.start({ url: own.url, key: own.key });
    const tools = ['Bash', 'Read'].map((name) => ({ name, description: 'does what it does', input_schema: { type: 'object' } }));
    await own.ask({ use: [10, 0, 0, 5], session: 'of-shapes', body: { tools, system: [{ type: 'text', text: 'a text of ours' }] } });
    await fetch(`${own.url}/v1/models`, { headers: { authorization: 'Bearer sk-near' } });
    await own.until('the rows', () => own.sql('SELECT count(*) AS n FROM requests')[0].n >= 2);
  });
  after(async () => {
    await ownBench?.stop();
    await own?.stop();
  });
  const idOf = (path) => own.sql('SELECT id FROM requests WHERE path = ?', path)[0].id;

  test('a past request is tried from its details, and another one says why it is not', () =>
    visitingAt(ownBench, {}, async (visit, page) => {
      await visit.open(`/requests?id=${idOf('/v1/messages')}`);
      await page.getByText('on its shape; no text of the prompt was kept').waitFor();
      await page.getByRole('link', { name: 'Dry run of the rules' }).click();
      await page.getByRole('heading', { name: 'Goes to near' }).waitFor();
      await page.getByText('Made of its shape.').waitFor();
      await page.getByText('No rule looks at what was not kept', { exact: false }).waitFor();
      const options = page.locator('#past option');
      await page.waitForFunction(() => document.querySelectorAll('#past option').length === 2);
      assert.match(await options.nth(1).innerText(), /claude-dear · 200 · shape/);
      assert(!(await page.content()).includes('a text of ours'));
      await visit.screenshot('rules-past-shape-en-light-1440');
      assert.deepEqual(await visit.violations(), []);

      await visit.open(`/requests?id=${idOf('/v1/models')}`);
      await page.getByText(/No dry run of this one\. Rules are tried on past requests to/).waitFor();
      assert.equal(await page.getByRole('link', { name: 'Dry run of the rules' }).count(), 0);
      await visit.open(`/rules?view=try&request=${idOf('/v1/models')}`);
      await page.getByText(/Rules are tried on past requests to/).waitFor();
      assert.deepEqual(await visit.violations(), []);
    }, [/400/]));

  test('a rule is tried on a past request in its form, and says what it cannot know', () =>
    visitingAt(ownBench, { locale: 'zh-CN' }, async (visit, page) => {
      await visit.open('/rules');
      await page.getByRole('button', { name: '新建规则' }).first().click();
      const dialog = page.locator('dialog').first();
      await dialog.locator('.cm-content').waitFor();
      await dialog.getByLabel('从模板开始').selectOption({ index: 1 });
      await dialog.getByText('过去的请求', { exact: true }).click();
      await dialog.locator('#trial-past option').nth(1).waitFor({ state: 'attached' });
      await dialog.locator('#trial-past').selectOption({ index: 1 });
      await dialog.getByRole('button', { name: '试运行此规则' }).click();
      await dialog.getByText('按结构生成。').waitFor();
      await dialog.locator('.rules li.about').waitFor();
      await visit.screenshot('rule-trial-shape-zh-light-1440');
      assert.deepEqual(await visit.violations(), []);
    }));
});
