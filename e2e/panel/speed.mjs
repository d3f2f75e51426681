// How much of the browser's time the panel takes: `make panel-speed`, or
//
//     node speed.mjs [ROUNDS] [SECONDS]       against the mock of static/dev, or the gateway at PANEL_URL
//
// First the blocking time of a load with a processor that is four times slower (what tasks last beyond 50 ms each, until nothing
// happens for two seconds), then what 200 finished requests a second keep the main thread busy. Medians of some rounds, with their
// span: other work on the machine makes single figures mean little, and no test fails on them.

import { Bench, standIn } from './harness.mjs';

const [rounds, seconds] = [Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 100)];
const SLOWER = 4;
const EVENTS_PER_SECOND = 200;
const TICK_MS = 50;
const PAGES = { dashboard: '/?range=24h', requests: '/requests' };
/** What it is to be. */
const MOST_BLOCKING_MS = 200;
const MOST_BUSY_S = 4;

const bench = await Bench.start();
const told = (name, values, unit, most) => {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const text = (value) => value.toFixed(unit === 's' ? 2 : 0);
  console.log(`${name.padEnd(44)} ${text(median).padStart(6)} ${unit}   (${text(sorted[0])} to ${text(sorted.at(-1))}; wanted: below ${most} ${unit})`);
};
const metricsOf = async (session) => Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));

/** What the main thread of a page did while something happened: tasks with their times, in milliseconds of the processor. */
async function mainThread(page, what) {
  await bench.browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
  await what();
  const { traceEvents } = JSON.parse((await bench.browser.stopTracing()).toString());
  const threads = new Set(traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(({ pid, tid }) => `${pid}:${tid}`));
  const tasks = traceEvents.filter(({ name, pid, tid, tdur }) => name.endsWith('RunTask') && tdur !== undefined && threads.has(`${pid}:${tid}`));
  return tasks.map(({ tdur }) => tdur / 1000);
}

async function blockingTime(path) {
  const visit = await bench.visit({ isNew: true });
  const { context, page } = visit;
  const session = await context.newCDPSession(page);
  // The first load fills the caches: what is compiled anew each time is not what people wait for every day.
  await visit.open(path);
  await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
  const tasks = await mainThread(page, async () => {
    await page.reload();
    await page.locator('h1').first().waitFor();
    await page.waitForFunction(() => !document.querySelector('.skeleton'));
    await page.waitForTimeout(2_000);
  });
  await visit.close();
  return tasks.reduce((sum, duration) => sum + Math.max(0, duration - 50), 0);
}

/** The same panel, whose feed tells of many requests. */
function busyFeed(rows) {
  return standIn(bench, (incoming, outgoing) => {
    if (!incoming.url.startsWith('/api/admin/live')) return false;
    outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    let count = 0;
    const send = (name, data) => outgoing.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    const began = Date.now();
    const timer = setInterval(() => {
      const due = ((Date.now() - began) / 1000) * EVENTS_PER_SECOND;
      for (; count < due; count += 1) {
        send('request', { ...rows[count % rows.length], id: `req_speed_${began}_${count}`, started_at_ms: Date.now() - 500, duration_ms: 500 });
        if (count % EVENTS_PER_SECOND === 0) send('second', { at_ms: Date.now(), requests: EVENTS_PER_SECOND, failed: 3, in_flight: 0, streams: 0, running: [], more: 0 });
      }
    }, TICK_MS);
    outgoing.on('close', () => clearInterval(timer));
    return true;
  });
}

async function busyTime(there, path) {
  const visit = await there.visit({ isNew: true });
  const { context, page } = visit;
  const session = await context.newCDPSession(page);
  // The processor's time, not the clock's: other processes do not count.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await visit.open(path);
  await page.waitForTimeout(3_000);
  const before = await metricsOf(session);
  await page.waitForTimeout(seconds * 1000);
  const after = await metricsOf(session);
  await visit.close();
  const part = (name) => ((after[name] - before[name]) * 100) / seconds;
  return { all: part('TaskDuration'), script: part('ScriptDuration'), layout: part('LayoutDuration') + part('RecalcStyleDuration') };
}

for (const [name, path] of Object.entries(PAGES)) {
  const times = [];
  for (let round = 0; round < rounds; round += 1) times.push(await blockingTime(path));
  told(`${name}: blocking time, ${SLOWER}x slower`, times, 'ms', MOST_BLOCKING_MS);
}
const visit = await bench.visit();
const { requests } = await visit.api('requests?limit=200');
await visit.close();
const feed = await busyFeed(requests);
for (const [name, path] of Object.entries(PAGES)) {
  const times = [];
  for (let round = 0; round < Math.min(rounds, 3); round += 1) times.push(await busyTime(feed.bench, path));
  told(`${name}: busy in 100 s with ${EVENTS_PER_SECOND} events a second`, times.map(({ all }) => all), 's', MOST_BUSY_S);
  const last = times.at(-1);
  console.log(`  of the last one: script ${last.script.toFixed(2)} s, style and layout ${last.layout.toFixed(2)} s`);
}
await feed.stop();
await bench.stop();
process.exit();
