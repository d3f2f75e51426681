// Faults that people met in a day's work with the panel: each test failed before its mend.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench, visiting as visitingAt } from './harness.mjs';

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
