// Every page in both languages, both themes, wide and on a phone: it shows its data, nothing is wrong in the console, nothing
// leaves the origin, axe finds nothing serious, nothing hangs over the edge. A picture of each is kept.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench } from './harness.mjs';

const LOCALES = ['en-US', 'zh-CN'];
const THEMES = ['light', 'dark'];
const WIDTHS = [1440, 390];
const only = process.env.PANEL_PAGES ? process.env.PANEL_PAGES.split(',') : undefined;

let bench;
let ids;

before(async () => {
  bench = await Bench.start();
  const visit = await bench.visit();
  const { requests } = await visit.api('requests?limit=500');
  const failed = (await visit.api('requests?outcome=upstream_error,truncated,stalled,unreachable&limit=50')).requests;
  const session = requests.find((row) => row.agent?.startsWith('agent-') && row.agent.length > 9)?.session ?? requests.find((row) => row.session !== null)?.session;
  ids = { good: requests.find((row) => row.tokens !== null)?.id ?? requests[0]?.id, failed: failed[0]?.id, session };
  await visit.close();
});
after(() => bench.stop());

const PAGES = {
  dashboard: () => '/?range=24h',
  requests: () => '/requests',
  request: () => `/requests?id=${ids.good}`,
  'request-failed': () => `/requests?outcome=upstream_error&id=${ids.failed}`,
  costs: () => '/costs?range=7d',
  'costs-session': () => '/costs?range=24h&by=session',
  sessions: () => '/sessions?range=24h',
  session: () => `/sessions/${ids.session}`,
  errors: () => '/errors?range=7d',
  upstreams: () => '/upstreams',
  notify: () => '/notify',
  rules: () => '/rules',
  'rules-try': () => '/rules?view=try',
  config: () => '/config',
  'config-yaml': () => '/config?view=yaml',
  'config-headers': () => '/config?view=headers',
  'config-history': () => '/config?view=history',
  connect: () => '/connect',
  'connect-team': () => '/connect?client=team',
  login: () => '/login',
  missing: () => '/no-such-page',
};

for (const [name, path] of Object.entries(PAGES)) {
  if (only && !only.includes(name)) continue;
  describe(name, () => {
    for (const locale of LOCALES) for (const theme of THEMES) for (const width of WIDTHS) {
      test(`${locale} ${theme} ${width}`, async () => {
        const visit = await bench.visit({ locale, theme, width });
        try {
          await visit.open(path());
          if (name.startsWith('request-') || name === 'request') await visit.page.locator('dialog .timeline').waitFor();
          if (name.startsWith('config-') && name !== 'config-history') await visit.page.locator('.cm-content').first().waitFor();
          if (name === 'dashboard') await visit.page.waitForTimeout(2500);
          await visit.screenshot(`${name}-${locale.slice(0, 2)}-${theme}-${width}`);
          if (width < 900 && process.env.PANEL_FULL) await visit.page.screenshot({ path: `${process.env.PANEL_FULL}/${name}-${locale.slice(0, 2)}-${theme}-full.png`, fullPage: true });
          assert.deepEqual(await visit.violations(), []);
          assert(await visit.overhang() <= 0, `${await visit.overhang()} px hang over`);
          assert.equal(await visit.page.evaluate(() => document.documentElement.lang), locale === 'zh-CN' ? 'zh-CN' : 'en');
          assert.deepEqual(visit.faults, []);
        } finally {
          await visit.close();
        }
      });
    }
  });
}
