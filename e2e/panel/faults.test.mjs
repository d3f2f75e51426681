// Faults that people met in a day's work with the panel: each test failed before its mend.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench, keepingOverlay, visiting as visitingAt } from './harness.mjs';

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

describe('the configuration', () => {
  const put = async (visit, overlay) => {
    const { version } = await visit.api('config');
    const answer = await visit.context.request.put(`${bench.url}/api/admin/config`, { data: { base_version: version, overlay } });
    assert.equal(answer.status(), 200);
  };

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
