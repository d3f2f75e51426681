/** What the gateway would answer about these rows. */

import {
  OUTCOMES, type ErrorGroup, type Group, type GroupBy, type Outcome, type RequestRow, type Series, type SeriesPoint, type SessionGroup, type Spread, type Stats, type Tokens,
} from '../../src/api/types.ts';

export function tokensOf(rows: readonly RequestRow[]): Tokens {
  const sum: Tokens = { input: 0, output: 0, cache_write: 0, cache_read: 0 };
  for (const { tokens } of rows) {
    if (!tokens) continue;
    for (const kind of ['input', 'output', 'cache_write', 'cache_read'] as const) sum[kind] += tokens[kind];
  }
  return sum;
}

function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

function spread(values: readonly (number | null)[]): Spread {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const mean = sorted.length > 0 ? sorted.reduce((sum, value) => sum + value, 0) / sorted.length : null;
  const at = (share: number): number | null => quantile(sorted, share);
  return { count: sorted.length, mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) };
}

const isFailed = (row: RequestRow): boolean => !['completed', 'unreadable', 'client_aborted', 'client_stalled', 'rejected'].includes(row.outcome);
const count = (rows: readonly RequestRow[], of: (row: RequestRow) => boolean): number => rows.filter(of).length;
const sum = (rows: readonly RequestRow[], of: (row: RequestRow) => number | null): number => rows.reduce((all, row) => all + (of(row) ?? 0), 0);

function estimatedOf(rows: readonly RequestRow[]): Pick<Group, 'estimated_requests' | 'estimated_output_tokens'> {
  const estimated = rows.filter((row) => row.estimated);
  return { estimated_requests: estimated.length, estimated_output_tokens: sum(estimated, (row) => row.tokens?.output ?? 0) };
}

/** As the gateway sums costs up: null where no request has a price. */
export function costOf(rows: readonly RequestRow[]): Pick<Group, 'cost_usd' | 'unpriced_requests'> {
  const priced = rows.filter((row) => row.cost_usd !== null);
  return {
    cost_usd: priced.length > 0 ? sum(priced, (row) => row.cost_usd) : null,
    unpriced_requests: count(rows, (row) => row.tokens !== null && row.cost_usd === null),
  };
}

/** The part of prompts that came from the cache. */
export function shareOfCache(rows: readonly RequestRow[]): number | null {
  const tokens = tokensOf(rows);
  const all = tokens.input + tokens.cache_write + tokens.cache_read;
  return all > 0 ? tokens.cache_read / all : null;
}

function successRate(rows: readonly RequestRow[]): number | null {
  const counted = count(rows, (row) => row.outcome !== 'client_aborted');
  return counted > 0 ? count(rows, (row) => row.outcome === 'completed') / counted : null;
}

export function statsOf(rows: readonly RequestRow[], from: number, to: number): Stats {
  const outcomes = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, count(rows, (row) => row.outcome === outcome)])) as Record<Outcome, number>;
  const status = (first: number): number => count(rows, (row) => Math.floor(row.status / 100) === first);
  return {
    from_ms: from, to_ms: to, requests: rows.length, success_rate: successRate(rows), outcomes,
    statuses: { '1xx': 0, '2xx': status(2), '3xx': 0, '4xx': status(4), '5xx': status(5), none: count(rows, (row) => row.status === 0) },
    tokens: tokensOf(rows), cache_hit_rate: shareOfCache(rows), rows_from_ms: null,
    ...costOf(rows), ...estimatedOf(rows),
    request_bytes: sum(rows, (row) => row.request_bytes), response_bytes: sum(rows, (row) => row.response_bytes),
    attempts: sum(rows, (row) => row.attempts), tool_uses: sum(rows, (row) => row.tool_uses),
    duration_ms: spread(rows.map((row) => row.duration_ms)), first_byte_ms: spread(rows.map((row) => row.first_byte_ms)),
    first_token_ms: spread(rows.map((row) => row.first_token_ms)),
  };
}

export function seriesOf(rows: readonly RequestRow[], from: number, to: number, step: number): SeriesPoint[] {
  const points: SeriesPoint[] = [];
  const steps = split(rows, (row) => Math.floor(row.started_at_ms / step) * step);
  for (let at = Math.floor(from / step) * step; at < to; at += step) {
    const mine = steps.get(at) ?? [];
    const duration = spread(mine.map((row) => row.duration_ms));
    const token = spread(mine.map((row) => row.first_token_ms));
    points.push({
      at_ms: at, requests: mine.length, completed: count(mine, (row) => row.outcome === 'completed'), failed: count(mine, isFailed),
      rejected: count(mine, (row) => row.outcome === 'rejected'), client_aborted: count(mine, (row) => row.outcome === 'client_aborted'),
      tokens: tokensOf(mine), ...costOf(mine), response_bytes: sum(mine, (row) => row.response_bytes),
      duration_p50_ms: duration.p50, duration_p95_ms: duration.p95, first_token_p50_ms: token.p50, first_token_p95_ms: token.p95,
    });
  }
  return points;
}

export function groupOf(name: string | null, rows: readonly RequestRow[]): Group {
  return {
    name, key_name: null, cache_hit_rate: shareOfCache(rows), requests: rows.length, completed: count(rows, (row) => row.outcome === 'completed'), failed: count(rows, isFailed),
    success_rate: successRate(rows), tokens: tokensOf(rows), ...costOf(rows), ...estimatedOf(rows),
    request_bytes: sum(rows, (row) => row.request_bytes), response_bytes: sum(rows, (row) => row.response_bytes),
    duration_ms: spread(rows.map((row) => row.duration_ms)), first_token_ms: spread(rows.map((row) => row.first_token_ms)),
    has_price: name === null ? null : rows.some((row) => row.cost_usd !== null),
  };
}

export function sessionGroupOf(rows: readonly RequestRow[]): SessionGroup {
  const { requests, completed, failed, tokens, cost_usd, unpriced_requests, request_bytes, response_bytes } = groupOf(null, rows);
  return { requests, completed, failed, tokens, cost_usd, unpriced_requests, ...estimatedOf(rows), request_bytes, response_bytes };
}

export function split<K>(rows: readonly RequestRow[], of: (row: RequestRow) => K): Map<K, RequestRow[]> {
  const parts = new Map<K, RequestRow[]>();
  for (const row of rows) {
    const part = parts.get(of(row));
    if (part) part.push(row);
    else parts.set(of(row), [row]);
  }
  return parts;
}

/** What keys are called. */
export const KEY_NAMES: Record<string, string> = { '0a1b2c3d4e5f6071': 'alice', '9f8e7d6c': '小王的笔记本' };

/** What the key with this fingerprint is called. */
export function keyNameOf(fingerprint: string | null): string | null {
  const known = Object.keys(KEY_NAMES).filter((part) => fingerprint?.startsWith(part)).sort((a, b) => b.length - a.length)[0];
  return known === undefined ? null : (KEY_NAMES[known] ?? null);
}

export function groupsOf(rows: readonly RequestRow[], by: GroupBy, limit: number, sort: string): Group[] {
  const groups = [...split(rows, (row) => row[by])].map(([name, mine]) => ({ ...groupOf(name, mine), key_name: by === 'key' ? keyNameOf(name) : null }));
  const value = (group: Group): number => (sort === 'cost' ? (group.cost_usd ?? -1) : group.requests);
  return groups.sort((a, b) => value(b) - value(a)).slice(0, limit);
}

/** What the dearest groups of a series cost, step by step, and all others. */
export function groupedOf(rows: readonly RequestRow[], from: number, to: number, step: number, by: GroupBy, top: number): Pick<Series, 'by' | 'groups' | 'others'> {
  const costs = (mine: readonly RequestRow[]): (number | null)[] => seriesOf(mine, from, to, step).map((point) => point.cost_usd);
  const dearest = groupsOf(rows, by, top, 'cost').map((group) => ({ name: group.name, key_name: group.key_name }));
  const names = new Set(dearest.map((group) => group.name));
  return {
    by, groups: dearest.map((group) => ({ ...group, points: costs(rows.filter((row) => row[by] === group.name)) })),
    others: costs(rows.filter((row) => !names.has(row[by]))),
  };
}

export function errorsOf(rows: readonly RequestRow[]): ErrorGroup[] {
  const failed = rows.filter(isFailed);
  const groups = [...split(failed, (row) => [row.cause, row.outcome, row.status, row.upstream].join()).values()].flatMap((mine) => {
    const newest = mine[0];
    const oldest = mine.at(-1);
    if (!newest?.cause || !oldest) return [];
    return [{
      cause: newest.cause, outcome: newest.outcome, status: newest.status, reason: newest.reason, error_type: newest.error_type,
      upstream: newest.upstream, message: newest.error_message, fault: newest.fault, count: mine.length, first_at_ms: oldest.started_at_ms,
      last_at_ms: newest.started_at_ms, example_id: newest.id,
    }];
  });
  return groups.sort((a, b) => b.count - a.count).slice(0, 100);
}
