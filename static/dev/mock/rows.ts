/** Thirty days of requests as Claude Code makes them, and relays answer them. */

import type { Cause, Outcome, RequestDetail, RequestRow, Tokens } from '../../src/api/types.ts';
import { costOf } from './prices.ts';
import { Random } from './random.ts';
import { KEY_LABELS } from './upstreams.ts';
import { loseCaches } from './waste.ts';

const DAY_MS = 86_400_000;
export const UPSTREAMS = ['anyrouter', 'mirror-hk', 'backup'] as const;

/** What the upstream did, for some reasons. */
function faultOf(reason: RequestRow['reason']): RequestRow['fault'] {
  const of = { upstream: 'backup', what: '', what_zh: null };
  switch (reason) {
    case 'connect_refused': case 'no_message_stop': case 'web_page': return { ...of, code: reason };
    case 'resolve': return { ...of, code: reason, parameters: { said: 'no such host' } };
    case 'stalled': return { ...of, code: reason, parameters: { within_ms: 60_000 } };
    default: return null;
  }
}

interface Failure {
  cause: Cause;
  outcome: Outcome;
  status: number;
  type: string | null;
  message: string | null;
  reason: RequestRow['reason'];
  /** The rule that decided what followed. */
  rule?: string;
}

const FAILURES: readonly (readonly [Failure, number])[] = [
  [{ rule: 'builtin:model_missing', cause: 'pool_closed', outcome: 'upstream_error', status: 503, type: 'new_api_error', reason: '', message: '当前分组 default 下对于模型 claude-opus-4-8 无可用渠道 (request id: 2026112408154012345)' }, 26],
  [{ rule: 'builtin:saturated', cause: 'saturated', outcome: 'upstream_error', status: 500, type: 'new_api_error', reason: '', message: '当前模型负载已经达到上限，请稍后重试' }, 18],
  [{ rule: 'builtin:long_context', cause: 'context_1m', outcome: 'upstream_error', status: 400, type: 'invalid_request_error', reason: '', message: '请开启 1m 上下文后使用：anthropic-beta 需要包含 context-1m-2025-08-07' }, 9],
  [{ rule: 'builtin:quota', cause: 'quota', outcome: 'upstream_error', status: 429, type: 'rate_limit_error', reason: '', message: '用户额度不足, 剩余额度: $0.000000' }, 8],
  [{ cause: 'network', outcome: 'upstream_error', status: 520, type: null, reason: '', message: 'error code: 520' }, 11],
  [{ cause: 'waf_page', outcome: 'upstream_error', status: 200, type: null, reason: 'web_page', message: '<!doctype html><html><head><title>Just a moment...</title></head>' }, 6],
  [{ cause: 'thinking_off', outcome: 'upstream_error', status: 500, type: 'new_api_error', reason: '', message: "Cannot read properties of undefined (reading 'map')" }, 4],
  [{ cause: 'broke_off', outcome: 'truncated', status: 200, type: null, reason: 'no_message_stop', message: 'connection closed by the upstream after 41 events' }, 7],
  [{ cause: 'too_slow', outcome: 'stalled', status: 200, type: null, reason: 'stalled', message: 'read timed out' }, 3],
  [{ cause: 'overloaded', outcome: 'stream_error', status: 200, type: 'overloaded_error', reason: '', message: 'Overloaded' }, 6],
  [{ cause: 'unreachable', outcome: 'unreachable', status: 502, type: 'api_error', reason: 'connect_refused', message: 'no upstream answered: backup: connection refused (10.0.0.9:8443)' }, 4],
  [{ cause: 'not_found', outcome: 'upstream_error', status: 404, type: 'not_found_error', reason: '', message: 'Invalid URL (POST /v1/v1/messages)' }, 3],
  [{ cause: 'unreachable', outcome: 'unreachable', status: 502, type: null, reason: 'resolve', message: null }, 3],
  [{ rule: 'builtin:key_disabled', cause: 'key_refused', outcome: 'upstream_error', status: 401, type: 'authentication_error', reason: '', message: '无效的令牌 (request id: 2026112409120054321)' }, 3],
];
/** Which model, upstream and key a session has: as often as they stand here. */
const MODELS = ['claude-sonnet-4-5', 'claude-opus-4-8', 'claude-sonnet-4-5', 'claude-sonnet-4-5', 'claude-opus-4-8', 'claude-opus-5-5', 'claude-sonnet-4-5', 'claude-opus-4-8'];
const SIDE_MODEL = 'claude-haiku-4-5';
const MAIN_UPSTREAMS = ['anyrouter', 'anyrouter', 'mirror-hk', 'anyrouter', 'anyrouter'];
const KEYS = ['0a1b2c3d4e5f6071', '0a1b2c3d4e5f6071', '9f8e7d6c5b4a3921', '0a1b2c3d4e5f6071', '9f8e7d6c5b4a3921', '0a1b2c3d4e5f6071', '44c0ffee44c0ffee'];
/** Whose tokens the keys are. */
const HOLDERS: Readonly<Record<string, Pick<RequestRow, 'user' | 'group' | 'token'>>> = {
  '0a1b2c3d4e5f6071': { user: 'alice', group: 'backend', token: 'tok_1' }, '9f8e7d6c5b4a3921': { user: '王小明', group: 'backend', token: 'tok_2' },
};
const CLIENTS = ['127.0.0.1', '10.0.0.21', '10.0.0.34'];
const SESSIONS = 901;
/** How long people work in a session, and how many work at once. */
const SITTING_MS = 9_000_000;
const AT_ONCE = 3;
/** Busy in the daytime of China, quiet at night. */
function busyness(atMs: number): number {
  const hour = ((atMs / 3_600_000 + 8) % 24 + 24) % 24;
  return 0.15 + 0.85 * Math.max(0, Math.sin(((hour - 7) / 20) * Math.PI));
}

export class RowMaker {
  readonly #random: Random;
  readonly #sessions: string[];
  #count = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#sessions = Array.from({ length: SESSIONS }, () => this.uuid());
  }

  uuid(): string {
    const hex = this.#random.hex(32);
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  /** A session of those that are worked in at this time. */
  #sessionAt(atMs: number): number {
    return 1 + ((Math.floor(atMs / SITTING_MS) * AT_ONCE + this.#random.whole(0, AT_ONCE - 1)) % (SESSIONS - 1));
  }

  row(startedAtMs: number, sessionIndex = this.#sessionAt(startedAtMs)): RequestRow {
    const random = this.#random;
    const ofSession = <T>(choices: readonly T[]): T => choices[sessionIndex % choices.length] as T;
    const isSide = random.next() < 0.18;
    const model = isSide ? SIDE_MODEL : random.next() < 0.02 ? 'claude-opus-4-8' : ofSession(MODELS);
    const isCount = !isSide && random.next() < 0.06;
    const failure = random.next() < 0.035 ? random.pick(FAILURES) : null;
    const isAborted = !failure && random.next() < 0.02;
    const isRejected = !failure && !isAborted && random.next() < 0.005;
    const outcome: Outcome = failure?.outcome ?? (isAborted ? 'client_aborted' : isRejected ? 'rejected' : 'completed');
    const hasTokens = (outcome === 'completed' || outcome === 'client_aborted' || outcome === 'truncated') && !isCount;
    const output = Math.round(random.skewed(isSide ? 60 : 320, 0.9));
    const tokens: Tokens | null = hasTokens
      ? {
          input: random.whole(3, 900),
          output,
          cache_write: Math.round(random.skewed(isSide ? 200 : 1800, 0.8)),
          cache_read: isSide ? 0 : Math.round(random.skewed(46_000, 0.6)),
        }
      : null;
    const queue = random.next() < 0.08 ? random.whole(40, 900) : 0;
    const connect = queue + random.whole(0, 90);
    const firstByte = connect + Math.round(random.skewed(isSide ? 420 : 980, 0.5));
    const firstToken = firstByte + random.whole(20, 400);
    const rate = 30 + random.next() * 50;
    const hasAnswer = outcome !== 'unreachable' && outcome !== 'rejected';
    const duration = hasTokens ? firstToken + Math.round((output / rate) * 1000) : firstByte + random.whole(0, outcome === 'stalled' ? 90_000 : 300);
    const agent = !isSide && random.next() < 0.16 ? `agent-${'abcd'.charAt(random.whole(0, 3))}${sessionIndex % 7}` : null;
    const upstream = outcome === 'rejected' ? null : random.next() < 0.03 ? random.pick([['mirror-hk', 70], ['backup', 30]] as const) : ofSession(MAIN_UPSTREAMS);
    this.#count += 1;
    return {
      id: `req_${this.#count.toString(36).padStart(5, '0')}${random.hex(15)}`,
      started_at_ms: startedAtMs,
      duration_ms: duration,
      queue_ms: queue,
      connect_ms: outcome === 'rejected' || outcome === 'unreachable' ? null : connect,
      first_byte_ms: hasAnswer ? firstByte : null,
      first_token_ms: hasTokens ? firstToken : null,
      longest_gap_ms: hasTokens ? random.whole(60, 1400) : null,
      tokens_per_second: hasTokens ? Math.round(rate * 10) / 10 : null,
      client: ofSession(CLIENTS),
      http: '1.1',
      method: 'POST',
      path: isCount ? '/v1/messages/count_tokens' : '/v1/messages',
      status: outcome === 'rejected' ? 413 : failure ? failure.status : 200,
      outcome,
      reason: failure?.reason ?? (isRejected ? 'request_body' : ''),
      cause: failure?.cause ?? null,
      upstream,
      attempts: random.next() < 0.05 ? 2 : 1,
      request_bytes: Math.round(random.skewed(isSide ? 3200 : 92_000, 0.5)),
      response_bytes: hasTokens ? output * 46 : 320,
      key: ofSession(KEYS),
      session: this.#sessions[sessionIndex] ?? null,
      agent,
      parent_agent: null,
      rewrite: isSide ? '' : 'replaced',
      rules: outcome === 'rejected' || outcome === 'unreachable'
        ? []
        : isSide
        ? ['anyrouter.bearer', 'anyrouter.beta-query', 'anyrouter.beta-flags']
        : ['anyrouter.bearer', 'anyrouter.no-forwarded-for', 'anyrouter.beta-query', 'anyrouter.beta-flags', 'anyrouter.beta-1m'],
      model_asked: model,
      model: hasAnswer ? model : null,
      is_stream: !isCount,
      tokens,
      cost_usd: tokens && costOf(model, tokens),
      stop_reason: hasTokens ? random.pick([['end_turn', 40], ['tool_use', 60]]) : null,
      error_type: failure?.type ?? (isRejected ? 'request_too_large' : null),
      fault: faultOf(failure?.reason ?? ''),
      error_message: failure?.message ?? (isRejected ? 'the request body has 41 MiB, the limit is 32 MiB' : null),
      ...toolsOf(hasTokens ? random.whole(0, 2) : 0, this.#count),
      events: hasTokens ? output : 0,
      skipped_events: 0,
      request_class: agent !== null ? 'subagent' : isSide ? 'auxiliary' : 'main',
      estimated: tokens !== null && outcome !== 'completed',
      usage: tokens && {
        cache_write_5m: tokens.cache_write, cache_write_1h: 0, thinking: null, web_search_requests: 0, web_fetch_requests: 0,
        service_tier: 'standard', inference_geo: null, speed: null,
      },
      thinking_action: null,
      thinking_dropped: null,
      moved: null,
      moved_by: null,
      dry_run: outcome === 'rejected' ? null : outcome === 'completed' ? 'shape' : 'capture',
      upstream_key: upstream === 'mirror-hk' ? (KEY_LABELS[sessionIndex % KEY_LABELS.length] ?? null) : null,
      error_code: null,
      ...HOLDERS[ofSession(KEYS)] ?? { user: null, group: null, token: null },
      error_rule: failure?.rule ?? null,
      waste: tokens && tokens.cache_write > 20_000 && random.next() < 0.3
        ? { cause: random.pick([['idle', 50], ['system_changed', 20], ['upstream_changed', 15], ['unexplained', 15]]), tokens: tokens.cache_write, usd: tokens.cache_write * 5.75e-6 }
        : null,
      agent_type: agent === null ? null : random.pick([['general-purpose', 60], ['Explore', 40]]),
      compaction: null,
      context_compacted: null,
      prompt_id: `0f1e2d3c-4b5a-6978-8796-${(sessionIndex * 1000 + Math.floor(this.#count / 4)).toString(16).padStart(12, '0')}`,
    };
  }

  /** Newest first, within the thirty days before `nowMs`; the last day is told more densely. */
  history(count: number, nowMs: number): RequestRow[] {
    const rows: RequestRow[] = [];
    while (rows.length < count) {
      const isRecent = this.#random.next() < 0.08;
      const agoMs = this.#random.next() * (isRecent ? DAY_MS : 30 * DAY_MS) + 3_000;
      if (this.#random.next() > busyness(nowMs - agoMs)) continue;
      rows.push(this.row(Math.round(nowMs - agoMs)));
    }
    // One conversation with sub-agents, told in full.
    for (let step = 0; step < 46; step += 1) {
      const row = this.row(nowMs - 1_500_000 + step * 26_000, 0);
      const agents = [null, null, null, 'agent-review', 'agent-tests', 'agent-fixtures'] as const;
      row.agent = agents[step < 12 ? 0 : this.#random.whole(0, 5)] ?? null;
      row.parent_agent = row.agent === null ? null : row.agent === 'agent-fixtures' ? 'agent-tests' : 'main';
      row.agent_type = row.agent === null ? null : row.agent === 'agent-review' ? 'code-reviewer' : 'general-purpose';
      row.request_class = row.agent === null ? 'main' : 'subagent';
      rows.push(row);
    }
    rows.sort((a, b) => b.started_at_ms - a.started_at_ms);
    loseCaches(rows, this.#random);
    return rows;
  }
}

/** So many uses of tools. */
function toolsOf(uses: number, number: number): Pick<RequestRow, 'tool_uses' | 'tools'> {
  const name = ['Bash', 'Read', 'Edit', 'Grep', 'mcp__linear__list_issues'][number % 5] ?? 'Bash';
  return { tool_uses: uses, tools: uses === 0 ? null : number % 3 === 0 ? { [name]: uses } : { [name]: 1, ...(uses > 1 && { TodoWrite: uses - 1 }) } };
}

export function detailOf(row: RequestRow): RequestDetail {
  const body = { model: row.model_asked, max_tokens: 32_000, system: 'You are Claude Code, Anthropic\'s official CLI for Claude.', messages: [{ role: 'user', content: '请解释这个函数的作用' }], stream: true };
  return {
    ...row,
    tried: row.attempts > 1 ? [{ upstream: 'mirror-hk', what: 'answered 503', what_zh: '返回了 503', code: 'status', parameters: { status: 503 } }] : [],
    error_body: row.error_message === null || row.status === 520 ? null : JSON.stringify({ type: 'error', error: { type: row.error_type ?? 'api_error', message: row.error_message } }),
    capture:
      row.dry_run !== 'capture'
        ? null
        : { head: `POST ${row.path}?beta=true HTTP/1.1\nHost: 127.0.0.1:8088\nContent-Type: application/json\nanthropic-beta: claude-code-20250219\n`, body: JSON.stringify(body), is_cut: false },
    no_dry_run: row.dry_run === null ? 'no_shape' : null,
  };
}
