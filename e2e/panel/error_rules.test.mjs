// A rule for errors, made of one that came.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { answering, Bench, keepingOverlay, visiting } from './harness.mjs';

let bench;
before(async () => {
  bench = await Bench.start();
});
after(() => bench.stop());

const group = (upstream, more = {}) => ({
  cause: 'pool_closed', outcome: 'upstream_error', status: 503, upstream, reason: '', error_type: 'new_api_error', fault: null, count: 12, first_at_ms: Date.now() - 3_600_000,
  last_at_ms: Date.now() - 60_000, example_id: 'req_made_up', message: '当前分组 default 下对于模型 claude-opus-4-8 无可用渠道 (request id: 2026112408154012345)', ...more,
});

test('a rule is made of an error, shown before it counts, and told apart from the next one', () =>
  visiting(bench, {}, async (visit, page) => keepingOverlay(visit, async () => {
    const [{ name: upstream }] = (await visit.api('upstreams')).upstreams;
    await answering(page, 'errors?*', () => ({ groups: [group(upstream), group(upstream, { outcome: 'rejected', example_id: 'req_other' })], total: 24 }));
    await visit.open('/errors');
    const make = page.getByRole('button', { name: 'Make a rule of this' });
    assert.equal(await make.count(), 1, 'the gateway itself refused the other one');
    await make.click();
    const dialog = page.locator('dialog').first();
    await dialog.getByLabel('Status').waitFor();
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'pool-closed');
    assert.equal(await dialog.getByLabel('The message contains').inputValue(), '当前分组 default 下对于模型');
    assert.deepEqual(await visit.violations(), []);

    for (const label of ['Status', 'Error type', 'The message contains']) await dialog.getByLabel(label).fill('');
    await dialog.getByLabel('Rest (optional)').fill('soon');
    await dialog.getByRole('button', { name: 'Preview' }).click();
    await dialog.getByText('At least one of status, type and message is needed.').waitFor();
    await dialog.getByText('This must be a time such as 30s, 10m or 1h.').waitFor();
    assert.deepEqual(await visit.violations(), []);

    await dialog.getByLabel('Status').fill('503');
    await dialog.getByLabel('The message contains').fill('/无可用渠道|no available channel/');
    await dialog.getByRole('switch', { name: `Only for ${upstream}` }).click();
    await dialog.getByLabel('Then').selectOption('next_key');
    await dialog.getByLabel('Rest (optional)').fill('10m');
    await dialog.getByRole('button', { name: 'Preview' }).click();
    await page.locator('dialog ins').getByText('pool-closed').first().waitFor();
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('dialog').first().waitFor({ state: 'detached' });
    await page.getByText('The rule pool-closed is in force').waitFor();
    const { overlay } = await visit.api('config');
    assert.match(overlay, /failover:\n +errors:\n +- name: pool-closed\n +match:\n +status: 503\n +message: \/无可用渠道\|no available channel\/\n +upstream: \S+\n +then: next_key\n +rest: 10m\n/);

    await make.click();
    await dialog.getByLabel('Status').waitFor();
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'pool-closed-2');
  })));
