/** Conversations whose cache is lost now and then, and what that cost. */

import type { Conversation, RequestRow, WasteReport } from '../../src/api/types.ts';
import type { Random } from './random.ts';
import { costOf } from './prices.ts';

type WastedRequest = Conversation['waste'][number];
const IDLE_MS = 300_000;
const WEIGHTS: Record<WastedRequest['cause'], number> = {
  idle: 0, upstream_changed: 0, key_changed: 0, model_changed: 0, compaction: 14, tools_changed: 22, system_changed: 12, rules_changed: 9, history_changed: 11, unexplained: 6,
};
const DETAILS: Record<string, string> = {
  tools_changed: 'tools: 41 → 38', system_changed: 'system[2]', rules_changed: 'team-prompt', history_changed: 'messages[12]', compaction: 'auto',
};
interface Wasted {
  requests: number;
  tokens: number;
  usd: number | null;
}
const CHANCES = Object.entries(WEIGHTS) as [WastedRequest['cause'], number][];
const lost = new WeakMap<RequestRow, WastedRequest>();

/** What the row lost, if it did. */
export function wasteOf(row: RequestRow): WastedRequest | null {
  return lost.get(row) ?? null;
}

/** Has one in some rows write its cache anew. `rows` are newest first. */
export function loseCaches(rows: readonly RequestRow[], random: Random): void {
  const before = new Map<string, RequestRow>();
  for (const row of [...rows].reverse()) {
    const lane = `${row.session} ${row.agent}`;
    const last = before.get(lane);
    if (!row.tokens || row.tokens.cache_read === 0) continue;
    before.set(lane, row);
    if (!last || random.next() > 0.05) continue;
    const pause = row.started_at_ms - last.started_at_ms;
    const cause: WastedRequest['cause'] = last.model !== row.model ? 'model_changed' : last.upstream !== row.upstream ? 'upstream_changed' : last.upstream_key !== row.upstream_key ? 'key_changed'
      : pause > IDLE_MS ? (random.next() < 0.6 ? 'idle' : random.pick(CHANCES)) : random.pick(CHANCES);
    const tokens = row.tokens.cache_read;
    row.tokens = { ...row.tokens, cache_read: 0, cache_write: row.tokens.cache_write + tokens };
    row.cost_usd = costOf(row.model ?? '', row.tokens);
    const dearer = costOf(row.model ?? '', { input: 0, output: 0, cache_read: 0, cache_write: tokens });
    const cheaper = costOf(row.model ?? '', { input: 0, output: 0, cache_read: tokens, cache_write: 0 });
    lost.set(row, {
      request_id: row.id, at_ms: row.started_at_ms, agent: row.agent, cause, tokens, usd: dearer === null || cheaper === null ? null : dearer - cheaper,
      detail: cause === 'idle' ? `${Math.round(pause / 60_000)} min` : cause === 'upstream_changed' ? `${last.upstream} → ${row.upstream}` : cause === 'model_changed' ? `${last.model} → ${row.model}` : (DETAILS[cause] ?? null),
    });
  }
}

export function wastedOf(some: readonly { tokens: number; usd: number | null }[]): Wasted {
  const known = some.filter((one) => one.usd !== null);
  return {
    requests: some.length, tokens: some.reduce((sum, one) => sum + one.tokens, 0), usd: known.length > 0 ? known.reduce((sum, one) => sum + (one.usd ?? 0), 0) : null,
  };
}

type Lost = WastedRequest & { session: string | null };
const dearest = (a: Wasted, b: Wasted): number => (b.usd ?? 0) - (a.usd ?? 0) || b.tokens - a.tokens;
const causesOf = (some: readonly Lost[]): WasteReport['causes'] =>
  [...new Set(some.map(({ cause }) => cause))].map((cause) => ({ cause, ...wastedOf(some.filter((one) => one.cause === cause)) })).sort(dearest);

/** What these rows lost, by cause and by session. */
export function wasteReportOf(rows: readonly RequestRow[], query: URLSearchParams, from: number, to: number): WasteReport {
  const all = rows.flatMap((row): Lost[] => {
    const of = wasteOf(row);
    return of === null ? [] : [{ ...of, session: row.session }];
  });
  const bySession = new Map<string, Lost[]>();
  for (const one of all) if (one.session !== null) bySession.set(one.session, [...(bySession.get(one.session) ?? []), one]);
  const sessions = [...bySession].flatMap(([session, some]): WasteReport['sessions'] => {
    const [main] = causesOf(some);
    return main === undefined ? [] : [{ ...wastedOf(some), session, main_cause: main.cause, last_at_ms: Math.max(...some.map((one) => one.at_ms)) }];
  });
  const orders: Record<string, (a: (typeof sessions)[number], b: (typeof sessions)[number]) => number> = {
    tokens: (a, b) => b.tokens - a.tokens, requests: (a, b) => b.requests - a.requests, last: (a, b) => b.last_at_ms - a.last_at_ms,
  };
  sessions.sort(orders[query.get('sort') ?? ''] ?? dearest);
  return { from_ms: from, to_ms: to, total: wastedOf(all), causes: causesOf(all), sessions: sessions.slice(0, Number(query.get('limit') ?? 50)) };
}
