// All that the panel shows (views.mjs), in both languages, both themes, at the width of a desk, of a tablet and of a phone: it has its
// data, nothing is wrong in the console, nothing leaves the origin, axe finds nothing serious, nothing hangs over the edge, and on a
// phone all is as large as a finger. A view is loaded once; its looks are chosen as a reader does. A picture of each is kept.
//
// PANEL_PAGES   some of the views, separated by commas
// PANEL_LOOKS   `all`: each language in each theme at each width; without it six of these twelve, which have every pair of them

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Bench } from './harness.mjs';
import { VIEWS } from './views.mjs';

const HEIGHTS = { 1440: 900, 820: 1180, 390: 844 };
const looksOf = (rows) => rows.map(([locale, theme, width]) => ({ locale, theme, width }));
const PAIRS = looksOf([
  ['en-US', 'light', 1440], ['zh-CN', 'dark', 1440], ['en-US', 'dark', 820], ['zh-CN', 'light', 820], ['zh-CN', 'dark', 390], ['en-US', 'light', 390],
]);
const ALL = looksOf([1440, 820, 390].flatMap((width) => ['light', 'dark'].flatMap((theme) => ['en-US', 'zh-CN'].map((locale) => [locale, theme, width]))));
const IS_WHOLE = process.env.PANEL_LOOKS === 'all';
const looks = IS_WHOLE ? ALL : PAIRS;
/** Axe takes as long as all else; words change little of what it sees. */
const LOOKED_AT_BY_AXE = new Set(IS_WHOLE ? ALL.filter(({ locale }) => locale === 'en-US') : [PAIRS[0], PAIRS[4]]);
/** So many of a view are told. */
const MOST_FAULTS = 20;
const names = process.env.PANEL_PAGES ? process.env.PANEL_PAGES.split(',') : Object.keys(VIEWS);

let bench;
let ids;

before(async () => {
  bench = await Bench.start();
  const visit = await bench.visit();
  const { requests } = await visit.api('requests?limit=500');
  const failed = (await visit.api('requests?outcome=upstream_error,truncated,stalled,unreachable&limit=50')).requests;
  const session = requests.find((row) => row.agent?.startsWith('agent-') && row.agent.length > 9)?.session ?? requests.find((row) => row.session !== null)?.session;
  ids = { good: requests.find((row) => row.tokens !== null && row.key !== null)?.id ?? requests[0]?.id, failed: failed[0]?.id, session };
  // A gateway whose upstreams have no key of their own can have none.
  ids.token = (await visit.api('tokens')).tokens.find(({ state }) => state === 'active')?.id;
  ids.upstreams = (await visit.api('upstreams')).upstreams.length;
  await visit.open('/');
  ids.running = await visit.page.evaluate(() => new Promise((resolve) => {
    new EventSource('/api/admin/live').addEventListener('second', ({ data }) => resolve(JSON.parse(data).running[0]?.id));
  }));
  await visit.close();
});
after(() => bench.stop());

/** What is wrong with what is shown now. */
async function faultsOf(visit, name, { locale, theme, width }, isForAxe) {
  const found = [];
  await visit.screenshot(`${name}-${locale.slice(0, 2)}-${theme}-${width}`);
  const over = await visit.overhang();
  if (over > 0) found.push(`${over} px hang over`);
  if (isForAxe) found.push(...await visit.violations());
  if (width === 390) found.push(...(await visit.missed()).map((what) => `too small for a finger: ${what}`));
  return found;
}

// Two at a time: a page waits for the gateway and for its own pictures as long as it works.
describe('views', { concurrency: 2 }, () => {
  for (const name of names) {
    test(name, async (one) => {
      const { path: pathOf, act } = VIEWS[name];
      const path = pathOf(ids);
      if (!path) { one.skip('the gateway has nothing to show there'); return; }
      const visit = await bench.visit();
      const found = new Map();
      try {
        await visit.open(path);
        await act?.(visit.page);
        for (const look of looks) {
          await visit.look({ ...look, height: HEIGHTS[look.width] });
          const here = await faultsOf(visit, name, look, LOOKED_AT_BY_AXE.has(look));
          for (const fault of here) if (!found.has(fault)) found.set(fault, Object.values(look).join(' '));
        }
        assert.deepEqual([...Array.from(found, ([fault, look]) => `${look}: ${fault}`), ...visit.faults].slice(0, MOST_FAULTS), []);
      } finally {
        await visit.close();
      }
    });
  }
});
