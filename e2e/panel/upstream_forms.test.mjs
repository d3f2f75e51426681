// Upstreams by form: added, edited, copied, put into order, disabled, deleted, and tried before they are saved.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { answering, Bench, IS_MOCK, keepingOverlay, visiting as visitingAt } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const visiting = (options, what, expected) => visitingAt(bench, options, what, expected);
/** Two upstreams in the overlay, with comments and keys that no form knows. */
async function withTwo(visit, url) {
  const { version } = await visit.api('config');
  const overlay = `gateway:
  upstreams:
    # the first
    - name: one
      base_url: ${url}   # where it is
      profile: anyrouter
      lines: [127.0.0.1:9, 127.0.0.1:19]   # spare ones
      profile_rules:
        anyrouter.compact: on   # small
    - name: two
      base_url: https://two.example
      priority: 4
`;
  const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
  assert.equal(answer.status(), 200, await answer.text());
}
const overlayOf = async (visit) => (await visit.api('config')).overlay;
const card = (page, name) => page.locator('article', { has: page.getByRole('heading', { name, exact: true }) });
async function apply(page) {
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.locator('dialog').first().waitFor({ state: 'detached' });
}
async function choose(page, name, what) {
  await card(page, name).getByRole('button', { name: 'More' }).click();
  await card(page, name).getByRole('button', { name: what }).click();
}
async function onTwo(options, what) {
  await visiting(options, (visit, page) => keepingOverlay(visit, async () => {
    const [{ url }] = (await visit.api('upstreams')).upstreams;
    await withTwo(visit, url);
    await visit.open('/upstreams');
    await what(visit, page, url);
  }));
}

describe('an upstream', () => {
  test('is added with keys, limits and timeouts, which the gateway has then', () =>
    visiting({}, (visit, page) => keepingOverlay(visit, async () => {
      await visit.open('/upstreams');
      await page.getByRole('button', { name: 'Add upstream' }).click();
      const dialog = page.locator('dialog').first();
      await dialog.getByLabel('Name').fill('fresh');
      await dialog.getByLabel('base_url').fill('fresh.example');
      await dialog.getByText('Limits and share').click();
      await dialog.getByLabel('Requests at one time').fill('many');
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await dialog.getByText('This must be an address that starts with http:// or https://.').waitFor();
      await dialog.getByText('This must be a whole number.').waitFor();
      assert.deepEqual(await visit.violations(), []);
      await dialog.getByLabel('base_url').fill('https://fresh.example');
      await dialog.getByLabel('Requests at one time').fill('20');
      await dialog.getByText('Timeouts', { exact: true }).click();
      await dialog.getByLabel('To the first byte').fill('30s');
      await dialog.getByText('Lines', { exact: true }).click();
      await dialog.getByLabel('Other addresses').fill('a.example\nb.example:8443');
      await dialog.getByRole('button', { name: 'Add a key' }).click();
      await dialog.getByLabel('Key', { exact: true }).fill('sk-made-up-for-fresh');
      await dialog.getByLabel('Name (optional)').fill('team');
      await visit.screenshot('upstream-form-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog .changes').getByText('added: fresh').waitFor();
      await apply(page);
      assert.match(await overlayOf(visit), /- name: fresh\n +base_url: https:\/\/fresh\.example\n +max_in_flight: 20\n +first_byte_timeout: 30s\n +lines: \[ ?a\.example, b\.example:8443 ?\]\n +api_keys:/);
      if (IS_MOCK) return;
      const fresh = (await visit.api('upstreams')).upstreams.find(({ name }) => name === 'fresh');
      assert.equal(fresh.max_in_flight, 20);
      assert.deepEqual(fresh.keys.map(({ name }) => name), ['team']);
      assert.deepEqual(fresh.lines.map(({ host }) => host), ['fresh.example', 'a.example', 'b.example:8443']);
    })));

  test('is edited, and what the form does not know stays, comments too', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page) => {
      await card(page, 'one').getByRole('button', { name: 'Edit', exact: true }).click();
      const dialog = page.locator('dialog').first();
      await dialog.getByText('1 set').first().waitFor();
      assert.equal(await dialog.getByLabel('Profile').inputValue(), 'anyrouter');
      await dialog.getByLabel('Priority').fill('2');
      await dialog.getByText('Lines', { exact: true }).click();
      assert.equal(await dialog.getByLabel('Other addresses').inputValue(), '127.0.0.1:9\n127.0.0.1:19');
      await dialog.getByLabel('Other addresses').fill('127.0.0.1:19');
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog .changes').getByText('changed: one').waitFor();
      await apply(page);
      const overlay = await overlayOf(visit);
      for (const kept of ['# the first', '# where it is', '# spare ones', '# small', 'anyrouter.compact: on']) assert(overlay.includes(kept), `${kept} in\n${overlay}`);
      assert.match(overlay, /priority: 2\n/);
      assert.match(overlay, /lines: \[ ?127\.0\.0\.1:19 ?\]/);
      assert.equal((await visit.api('upstreams')).upstreams.find(({ name }) => name === 'one').priority, 2);
    }));

  test('is copied without its masked keys, behind the one that it is of', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page) => {
      await choose(page, 'one', 'Duplicate');
      const dialog = page.locator('dialog').first();
      await dialog.getByLabel('base_url').waitFor();
      assert.equal(await dialog.getByLabel('Name').inputValue(), 'one-2');
      await dialog.getByLabel('base_url').fill('https://copy.example');
      await dialog.getByRole('button', { name: 'Preview' }).click();
      await page.locator('dialog .changes').getByText('added: one-2').waitFor();
      await apply(page);
      await card(page, 'one-2').waitFor();
      assert.match(await overlayOf(visit), /- name: one-2\n +base_url: https:\/\/copy\.example.*\n +profile: anyrouter\n[^]*anyrouter\.compact: on[^]*- name: two/);
    }));

  test('is disabled and enabled by the configuration, so that a restart changes nothing', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page) => {
      await choose(page, 'two', 'Disable');
      await page.locator('dialog ins').getByText('enabled: false').waitFor();
      await apply(page);
      await card(page, 'two').getByText('Disabled', { exact: true }).waitFor();
      assert.match(await overlayOf(visit), /- name: two\n +enabled: false\n/);
      assert.equal((await visit.api('upstreams')).upstreams.find(({ name }) => name === 'two').is_drained, true);
      assert.deepEqual(await visit.violations(), []);
      await card(page, 'two').getByRole('button', { name: 'Enable' }).click();
      await apply(page);
      await card(page, 'two').getByRole('button', { name: 'Drain' }).waitFor();
      assert(!(await overlayOf(visit)).includes('enabled'));
    }));

  test('is deleted after a preview', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page) => {
      await choose(page, 'two', 'Delete');
      await page.locator('dialog .changes').getByText('removed: two').waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      assert((await overlayOf(visit)).includes('two.example'), 'nothing happens without a yes');
      await choose(page, 'two', 'Delete');
      await apply(page);
      await card(page, 'two').waitFor({ state: 'detached' });
      assert.deepEqual((await visit.api('upstreams')).upstreams.map(({ name }) => name), ['one']);
    }));

  test('is put before others with the keyboard and with the mouse, or shares with them', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page) => {
      const names = async () => (await visit.api('upstreams')).upstreams.map(({ name, priority }) => `${name} ${priority}`);
      assert.deepEqual(await names(), ['one 0', 'two 4']);
      await page.getByRole('button', { name: 'Change order' }).click();
      await page.getByRole('button', { name: /^Move two: drag/ }).focus();
      await page.keyboard.press('ArrowUp');
      await page.locator('dialog [role=status]').getByText('two is now 1 of 2').waitFor({ state: 'attached' });
      assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), 'Move two: drag, or use the arrow keys');
      await visit.screenshot('upstream-order-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      await page.locator('dialog').first().getByRole('button', { name: 'Preview' }).click();
      await page.getByText('changed: two, one').or(page.getByText('changed: one, two')).waitFor();
      await apply(page);
      assert.deepEqual(await names(), ['two 0', 'one 1']);

      await page.getByRole('button', { name: 'Change order' }).click();
      const handle = page.getByRole('button', { name: /^Move one: drag/ });
      // Which waits until the list stands still.
      await handle.hover();
      const to = await page.getByRole('button', { name: /^Move two: drag/ }).boundingBox();
      await page.mouse.down();
      await page.mouse.move(to.x + 10, to.y + 4, { steps: 8 });
      await page.mouse.up();
      await page.locator('dialog li').first().filter({ hasText: /^\s*one/ }).waitFor();
      await page.getByRole('switch', { name: 'two: Shares with the one above' }).click();
      await page.locator('dialog').first().getByRole('button', { name: 'Preview' }).click();
      await apply(page);
      assert.deepEqual((await names()).sort(), ['one 0', 'two 0']);
      assert((await overlayOf(visit)).includes('# where it is'));
    }));
});

describe('a draft', () => {
  test('is tried as it stands in the form, before it is saved', { skip: IS_MOCK }, () =>
    onTwo({}, async (visit, page, url) => {
      const before = await overlayOf(visit);
      await page.getByRole('button', { name: 'Add upstream' }).click();
      const dialog = page.locator('dialog').first();
      await dialog.getByRole('button', { name: 'Test this' }).click();
      await dialog.getByText('It needs a name.').waitFor();
      await dialog.getByLabel('Name').fill('draft');
      await dialog.getByLabel('base_url').fill('http://127.0.0.1:9');
      await dialog.getByRole('button', { name: 'Test this' }).click();
      await dialog.getByText('Something is wrong').waitFor();
      await dialog.getByLabel('base_url').fill(url);
      await dialog.getByRole('button', { name: 'Test this' }).click();
      await dialog.locator('.report .chip.ok, .report .chip.warn').first().waitFor();
      await visit.screenshot('upstream-draft-test-en-light-1440');
      assert.deepEqual(await visit.violations(), []);
      assert.equal(await overlayOf(visit), before, 'nothing is saved');
    }));
});

describe('a list that the environment gives', () => {
  test('says so, and can be prepared in the overlay', { skip: IS_MOCK }, () =>
    visiting({ locale: 'zh-CN' }, (visit, page) => keepingOverlay(visit, async () => {
      await answering(page, 'config', (config) => {
        Object.assign(config.settings.find(({ key }) => key === 'gateway.upstreams'), { is_locked: true, place: 'API_BASE_URL' });
        return config;
      });
      await visit.open('/upstreams');
      await page.getByText('API_BASE_URL 取代了上游列表').waitFor();
      assert.equal(await page.getByRole('button', { name: '更多' }).count(), 0);
      await page.getByRole('button', { name: '准备列表' }).click();
      await page.getByRole('button', { name: '应用' }).click();
      await page.locator('dialog').first().waitFor({ state: 'detached' });
      const [{ name, url }] = (await visit.api('upstreams')).upstreams;
      assert((await overlayOf(visit)).includes(`- name: ${name}\n      base_url: ${url}\n`));
    })));
});
