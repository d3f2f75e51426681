/** What the gateway would answer about the sessions of these rows. */

import type { Conversation, Conversations, RequestRow } from '../../src/api/types.ts';
import { sessionGroupOf, shareOfCache, split } from './statistics.ts';
import { wastedOf, wasteOf } from './waste.ts';

type SessionRow = Conversations['sessions'][number];

const PAGE = 200;
const STEPS = 240;

const distinct = (rows: readonly RequestRow[], of: (row: RequestRow) => string | null): string[] =>
  [...new Set(rows.map(of).filter((name) => name !== null))].sort();

function spanOf(rows: readonly RequestRow[]): { first_at_ms: number; last_at_ms: number; duration_ms: number } {
  const begins = rows.map((row) => row.started_at_ms);
  const first = Math.min(...begins);
  const end = Math.max(...rows.map((row) => row.started_at_ms + row.duration_ms));
  return { first_at_ms: first, last_at_ms: Math.max(...begins), duration_ms: end - first };
}

function wasted(rows: readonly RequestRow[]): { wasted_tokens: number; wasted_usd: number | null } {
  const { tokens, usd } = wastedOf(rows.flatMap((row) => wasteOf(row) ?? []));
  return { wasted_tokens: tokens, wasted_usd: usd };
}

function rowOf(session: string, rows: readonly RequestRow[], running: number): SessionRow {
  return {
    session, ...spanOf(rows), running, agents: distinct(rows, (row) => row.agent).length, ...sessionGroupOf(rows), cache_hit_rate: shareOfCache(rows),
    models: distinct(rows, (row) => row.model ?? row.model_asked), upstreams: distinct(rows, (row) => row.upstream), keys: distinct(rows, (row) => row.key), ...wasted(rows),
  };
}

const SORTS: Record<string, (row: SessionRow) => number> = {
  last: (row) => row.last_at_ms + (row.running > 0 ? 1e15 : 0), cost: (row) => row.cost_usd ?? -1, requests: (row) => row.requests, duration: (row) => row.duration_ms,
  errors: (row) => row.failed, waste: (row) => row.wasted_usd ?? 0,
};

/** `GET sessions`; a cursor is the place of the next page. */
export function sessionsOf(rows: readonly RequestRow[], query: URLSearchParams, from: number, to: number, running: (session: string) => number): Conversations {
  const within = rows.filter((row) => row.session !== null && row.started_at_ms >= from && row.started_at_ms < to);
  const wanted = (name: string): string[] => (query.get(name) ?? '').split(',').filter(Boolean);
  const has = (names: string[], known: string[]): boolean => names.length === 0 || names.some((name) => known.some((one) => one.startsWith(name)));
  const value = SORTS[query.get('sort') ?? 'last'] ?? ((row: SessionRow) => row.last_at_ms);
  const all = [...split(within, (row) => row.session)].map(([session, mine]) => rowOf(session ?? '', mine, running(session ?? '')))
    .filter((row) => row.session.includes(query.get('q') ?? '') && has(wanted('model'), row.models) && has(wanted('upstream'), row.upstreams) && has(wanted('key'), row.keys))
    .sort((a, b) => value(b) - value(a));
  const kept = new Set(all.map((row) => row.session));
  const start = Number((query.get('cursor') ?? '0.0.').split('.')[1]);
  const end = start + Number(query.get('limit') ?? 50);
  return {
    from_ms: from, to_ms: to, total: all.length, sum: sessionGroupOf(within.filter((row) => kept.has(row.session ?? ''))), sessions: all.slice(start, end),
    next_cursor: end < all.length ? `0.${end}.` : null,
  };
}

/** `GET sessions/{id}` of these rows, newest first. */
export function conversationOf(session: string, rows: readonly RequestRow[], running: number): Omit<Conversation, 'capture'> {
  const span = spanOf(rows);
  const agents = [...split(rows, (row) => row.agent)].map(([name, mine]) => ({ name, mine })).sort((a, b) => (a.mine.at(-1)?.started_at_ms ?? 0) - (b.mine.at(-1)?.started_at_ms ?? 0));
  const stepMs = Math.max(1000, Math.ceil((span.last_at_ms - span.first_at_ms) / STEPS / 1000) * 1000);
  const step = (row: RequestRow): string => String(Math.floor((row.started_at_ms - span.first_at_ms) / stepMs));
  const bucket = (at: string | null, mine: readonly RequestRow[]): [number, number, number, number | null] => {
    const { requests, failed, cost_usd } = sessionGroupOf(mine);
    return [Number(at), requests, failed, cost_usd === null ? null : Math.round(cost_usd * 1e9)];
  };
  return {
    session, ...span, running, total: sessionGroupOf(rows), cache_hit_rate: shareOfCache(rows), ...wasted(rows),
    agents: agents.map(({ name, mine }) => {
      const { first_at_ms, last_at_ms } = spanOf(mine);
      return {
        name, parent: mine[0]?.parent_agent ?? null, agent_type: mine[0]?.agent_type ?? null, first_at_ms, last_at_ms, ...sessionGroupOf(mine), cache_hit_rate: shareOfCache(mine), ...wasted(mine),
      };
    }),
    agents_total: agents.length,
    timeline: {
      from_ms: span.first_at_ms, step_ms: stepMs, steps: Math.floor((span.last_at_ms - span.first_at_ms) / stepMs) + 1,
      agents: agents.map(({ name, mine }) => ({ name, buckets: [...split(mine, step)].map(([at, some]) => bucket(at, some)).sort((a, b) => a[0] - b[0]) })),
    },
    waste: rows.flatMap((row) => wasteOf(row) ?? []), requests: rows.slice(0, PAGE), requests_total: rows.length, next_cursor: rows.length > PAGE ? (rows[PAGE - 1]?.id ?? null) : null,
  };
}
