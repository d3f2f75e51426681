/** The admin API of docs/api.md over made-up data. */

import type { IncomingMessage, ServerResponse } from 'node:http';

import type {
  CaptureWish, ConfigDraft, ErrorAnswer, Explanation, GroupBy, LastRecost, LastTest, NewLimit, RequestRow, RunningRequest, SecondOfTraffic, Session, Upstream, UpstreamTest,
} from '../../src/api/types.ts';
import { Configuration, SCHEMA } from './configuration.ts';
import { LOGINS, MockLimits } from './limits.ts';
import { notifications, testOfTarget } from './notify.ts';
import { Random } from './random.ts';
import { detailOf, RowMaker, UPSTREAMS } from './rows.ts';
import { conversationOf, sessionsOf } from './sessions.ts';
import { costOf, errorsOf, groupedOf, groupsOf, KEY_NAMES, seriesOf, statsOf, tokensOf } from './statistics.ts';
import { MockTeam } from './team.ts';
import { messageTestOf, testOf } from './upstream_test.ts';
import { linesOf, MockKeys, REFUSED } from './upstreams.ts';
import { wasteReportOf } from './waste.ts';

const MINUTE_MS = 60_000;
const WRONG_KEYS = 5;
/** How long costs take that are made anew. */
const RECOST_MS = 2_500;
/** What follows is the id of a token, if the session began with one. */
const COOKIE = 'gateway_session=mock';
/** What statistics can be asked for. */
const HOLDER_FILTERS = ['user', 'group', 'token'] as const;
const FILTERS: readonly GroupBy[] = ['model', 'upstream', 'path', 'key', 'request_class', 'upstream_key', 'session', 'agent_type', 'client'];

class Refusal extends Error {
  readonly status: number;
  readonly more: object;
  readonly headers: Record<string, string>;
  constructor(status: number, message: string, more: object = {}, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.more = more;
    this.headers = headers;
  }
}

interface Question {
  method: string;
  path: string[];
  query: URLSearchParams;
  body: Record<string, unknown>;
  isSignedIn: boolean;
  /** The token that the session began with. */
  token: string | null;
}

export class MockGateway {
  readonly #key: string;
  readonly #maker = new RowMaker(20_261_124);
  readonly #random = new Random(7);
  readonly #config = new Configuration(Date.now());
  readonly #listeners = new Set<ServerResponse>();
  readonly #drained = new Set<string>();
  readonly #keys = new MockKeys(Date.now());
  readonly #tests = new Map<string, LastTest>([['mirror-hk', {
    at: new Date(Date.now() - 34 * MINUTE_MS).toISOString(), is_scheduled: true, key: 'team-b', model: 'claude-haiku-4-5', status: 429, finding: 'quota', is_good: false,
    cause_en: 'The upstream limits this key: its quota is used up, or too many requests came.', cause_zh: '上游对该密钥限流：额度已用完，或请求过多。',
    first_byte_ms: 122.4, total_ms: 123.8, cost: null,
  }]]);
  readonly #team = new MockTeam(Date.now());
  readonly #limits = new MockLimits();
  readonly #startedAtMs = Date.now();
  #rows: RequestRow[];
  #running: RunningRequest[] = [];
  /** Sessions of which the next request is to be kept. */
  readonly #captures = new Map<string, CaptureWish>();
  #wrongKeys: number[] = [];
  #recost: { fromMs: number; atMs: number; stoppedMs: number | null } | null = null;

  constructor(key: string, rows: number) {
    this.#key = key;
    this.#rows = this.#maker.history(rows, Date.now());
    setInterval(() => {
      this.#second();
    }, 1000).unref();
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://mock');
      const question: Question = {
        method: request.method ?? 'GET',
        path: url.pathname.split('/').filter(Boolean).map(decodeURIComponent),
        query: url.searchParams,
        body: await readJson(request),
        isSignedIn: this.#key !== '' && (request.headers.cookie ?? '').includes(COOKIE),
        token: /gateway_session=mock-(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? null,
      };
      if (question.path[0] === 'session') this.#session(question, response);
      else if (!question.isSignedIn) throw new Refusal(401, 'the key of the panel is missing');
      else if (this.#roleOf(question) === 'member' && question.path[0] !== 'me') throw new Refusal(403, 'this needs the key of the panel, or a token of an admin');
      else if (question.path[0] === 'live') this.#listen(response);
      else if (question.path[0] === 'export') this.#export(question, response);
      else send(response, 200, this.#answer(question));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const answer: ErrorAnswer = { type: 'error', error: { type: 'api_error', message: error.message }, request_id: 'req_mock', ...error.more };
      send(response, error.status, answer, error.headers);
    }
  }

  /** What the one may who asks. */
  #roleOf({ isSignedIn, token }: Pick<Question, 'isSignedIn' | 'token'>): Session['role'] {
    return isSignedIn ? this.#limits.me(token, this.#team.all()).role : null;
  }

  #session(question: Question, response: ServerResponse): void {
    const { method, body, token } = question;
    if (method === 'GET') {
      const role = this.#roleOf(question);
      const mayAll = role === 'operator' || role === 'admin';
      const session: Session = { may_read: mayAll, may_write: mayAll, role, user: this.#limits.me(token, this.#team.all()).user, key_is_set: this.#key !== '', version: '0.1.0' };
      send(response, 200, session);
      return;
    }
    if (method === 'POST') {
      this.#wrongKeys = this.#wrongKeys.filter((at) => at > Date.now() - MINUTE_MS);
      if (this.#key === '' || (body['key'] !== this.#key && !(String(body['key']) in LOGINS))) {
        this.#wrongKeys.push(Date.now());
        if (this.#wrongKeys.length > WRONG_KEYS) throw new Refusal(429, 'too many wrong keys', {}, { 'Retry-After': '60' });
        throw new Refusal(401, 'this is not the key');
      }
    }
    const login = LOGINS[String(body['key'])];
    const cookie = method === 'POST' ? `${COOKIE}${login ? `-${login}` : ''}; Path=/api/admin; HttpOnly; SameSite=Strict` : 'gateway_session=; Path=/api/admin; Max-Age=0';
    send(response, 204, null, { 'Set-Cookie': cookie });
  }

  #answer({ method, path, query, body, token }: Question): unknown {
    const [what, name, action, key, change] = path;
    const from = Number(query.get('from') ?? Date.now() - 60 * MINUTE_MS);
    const to = Number(query.get('to') ?? Date.now());
    const is = (row: RequestRow, column: GroupBy): boolean => !query.get(column) || row[column] === query.get(column);
    const isOf = (row: RequestRow): boolean => HOLDER_FILTERS.every((name) => !query.get(name) || query.get(name)?.split(',').includes(row[name] ?? ''));
    const within = (): RequestRow[] => this.#rows.filter((row) => row.started_at_ms >= from && row.started_at_ms < to && isOf(row) && FILTERS.every((column) => is(row, column)));
    switch (`${method} ${what}`) {
      case 'GET health':
        return {
          status: 'ok', version: '0.1.0', boot_id: 'mock', pid: 1, started_at_ms: this.#startedAtMs, ready: true, draining: false, in_flight: this.#running.length,
          streams: 1, held_body_bytes: 0, resident_bytes: 23_000_000, config: { path: 'conf/gateway.yaml', loaded_at_ms: this.#startedAtMs }, log: null,
        };
      case 'GET stats':
        if (name === 'series') {
          const step = Number(query.get('step') ?? MINUTE_MS);
          const by = query.get('by') as GroupBy | null;
          const grouped = by && groupedOf(within(), from, to, step, by, Number(query.get('top') ?? 5));
          return { from_ms: from, to_ms: to, step_ms: step, rows_from_ms: null, points: seriesOf(within(), from, to, step), ...grouped };
        }
        if (name === 'groups') {
          const by = (query.get('by') ?? 'model') as GroupBy;
          const groups = groupsOf(within(), by, Number(query.get('limit') ?? 50), query.get('sort') ?? '');
          return { from_ms: from, to_ms: to, by, rows_from_ms: this.#rows.at(-1)?.started_at_ms ?? null, groups };
        }
        return statsOf(within(), from, to);
      case 'GET requests':
        if (name === undefined) return this.#page(query);
        return this.#running.some((one) => one.id === name) ? { running: this.#running.find((one) => one.id === name) } : detailOf(this.#find(name));
      case 'GET key-names':
        return { names: KEY_NAMES };
      case 'GET sessions':
        return name === undefined ? sessionsOf(this.#rows.filter(isOf), query, from, to, (session) => this.#runningOf(session)) : this.#conversation(name);
      case 'GET waste':
        return wasteReportOf(within(), query, from, to);
      case 'POST sessions':
        this.#captures.set(name ?? '', { asked_at_ms: Date.now(), ends_at_ms: Date.now() + 60 * MINUTE_MS, body_bytes: 65_536, request_id: null });
        return { capture: this.#captures.get(name ?? '') };
      case 'DELETE sessions':
        this.#captures.delete(name ?? '');
        return { capture: null };
      case 'GET running':
        return { running: this.#running, more: 0 };
      case 'GET recost':
        return this.#recostNow();
      case 'POST recost':
        if (this.#recostNow().recost?.state === 'running') throw new Refusal(409, 'costs are being recalculated already');
        this.#recost = { fromMs: Number(body['from_ms']), atMs: Date.now(), stoppedMs: null };
        return this.#recostNow();
      case 'DELETE recost':
        if (this.#recost) this.#recost.stoppedMs ??= Date.now();
        return this.#recostNow();
      case 'GET errors': {
        const groups = errorsOf(within());
        return { groups, total: groups.reduce((sum, group) => sum + group.count, 0) };
      }
      case 'GET upstreams':
        return { upstreams: UPSTREAMS.map((one) => this.#upstream(one)), moved_sessions: 3 };
      case 'POST upstreams':
        // What a form holds is tested before there is such an upstream.
        if (action === 'test' && body['config'] !== undefined) return testOf(name ?? '');
        if (action === 'keys') return this.#keys.change(key ?? '', change ?? '', String(body['for'])) ?? this.#missing(`the key ${key}`);
        if (action === 'drain') this.#drained.add(name ?? '');
        else if (action === 'enable') this.#drained.delete(name ?? '');
        return action === 'test' ? this.#test(name ?? '', body) : this.#upstream(name ?? '');
      case 'GET notify':
        return notifications(Date.now());
      case 'POST notify':
        return testOfTarget(String(body['target'])) ?? this.#missing('such target');
      case 'GET users':
        return this.#team.users();
      case 'POST users':
        return this.#team.addUser(body);
      case 'PATCH users':
        return this.#team.changeUser(name ?? '', body) ?? this.#missing('such user');
      case 'GET groups':
        return this.#team.groups();
      case 'POST groups':
        return this.#team.addGroup(body);
      case 'GET tokens':
        return name === undefined ? this.#team.tokens() : (this.#team.all().tokens.find(({ id }) => id === name) ?? this.#missing('such token'));
      case 'POST tokens':
        return action === 'rotate' ? (this.#team.rotate(name ?? '', body) ?? this.#missing('such token')) : this.#team.addToken(body);
      case 'PATCH tokens':
        return this.#team.changeToken(name ?? '', body) ?? this.#missing('such token');
      case 'DELETE tokens':
        return this.#team.revoke(name ?? '') ?? this.#missing('such token');
      case 'GET audit':
        return this.#team.audit(query);
      case 'GET limits':
        return this.#limits.limits(query, this.#team.all()) ?? this.#missing('such subject');
      case 'PUT limits':
        return this.#limits.set(body as unknown as NewLimit, this.#team.all()) ?? this.#missing('such subject');
      case 'DELETE limits':
        return this.#limits.remove(query, this.#team.all()) ?? this.#missing('such limit');
      case 'GET usage':
        return this.#limits.usage(query, this.#team.all()) ?? this.#missing('such subject');
      case 'GET me':
        return name === undefined ? this.#limits.me(token, this.#team.all()) : this.#own(token, name, action, query, from, to);
      case 'POST me':
        return this.#team.rotate(action ?? '', body) ?? this.#missing('such token');
      case 'GET rules':
        return { upstreams: this.#config.rules() };
      case 'POST explain':
        return this.#explain(body);
      case 'GET config':
        return name === 'history' ? { versions: this.#config.history() } : name === 'schema' ? SCHEMA : this.#config.show();
      case 'POST config':
        if (name === 'explain') return this.#explain(body);
        return this.#config.check(body as Partial<ConfigDraft>);
      case 'PUT config':
        return this.#save(body as Partial<ConfigDraft> & { base_version: string });
      case 'POST reload':
        return { version: this.#config.version, pending_restart: [] };
      default:
        return this.#missing(path.join('/'));
    }
  }

  /** What a holder sees of the own requests: those of keys with names, here. */
  #own(token: string | null, what: string, part: string | undefined, query: URLSearchParams, from: number, to: number): unknown {
    if (token === null) throw new Refusal(404, 'this is for who has a client token');
    if (what === 'usage') return this.#limits.ownUsage(token, this.#team.all());
    const wanted = query.get('token') ?? token;
    if (!this.#limits.me(token, this.#team.all()).tokens.some((one) => one.id === wanted)) throw new Refusal(403, 'this is not a token of yours');
    const own = this.#rows.filter((row) => row.key !== null && row.key in KEY_NAMES);
    if (what === 'sessions') return sessionsOf(own, query, from, to, () => 0);
    const within = own.filter((row) => row.started_at_ms >= from && row.started_at_ms < to && (!query.get('model') || row.model === query.get('model')));
    if (what === 'waste') return wasteReportOf(within, query, from, to);
    if (part !== 'series') return statsOf(within, from, to);
    const step = Number(query.get('step') ?? MINUTE_MS);
    const by = query.get('by') as GroupBy | null;
    return { from_ms: from, to_ms: to, step_ms: step, rows_from_ms: null, points: seriesOf(within, from, to, step), ...(by && groupedOf(within, from, to, step, by, Number(query.get('top') ?? 5))) };
  }

  #missing(what: string): never {
    throw new Refusal(404, `there is no ${what}`);
  }

  #find(id: string): RequestRow {
    const row = this.#rows.find((one) => one.id === id);
    if (!row) throw new Refusal(404, `no request ${id} in the log`);
    return row;
  }

  #filtered(query: URLSearchParams): RequestRow[] {
    const list = (name: string): string[] => (query.get(name) ?? '').split(',').filter(Boolean);
    const [status, model] = [list('status'), list('model')];
    // Every other parameter that is named like a column asks for its values.
    const others = [...query.keys()].filter((name): name is 'path' => name !== 'status' && name !== 'model' && name in (this.#rows[0] ?? {}));
    const among = (wanted: string[], ...values: (string | null)[]): boolean => wanted.length === 0 || values.some((value) => value !== null && wanted.includes(value));
    const from = Number(query.get('from') ?? 0);
    const to = Number(query.get('to') ?? Infinity);
    const q = query.get('q')?.toLowerCase();
    return this.#rows.filter(
      (row) =>
        row.started_at_ms >= from && row.started_at_ms < to && among(model, row.model, row.model_asked) &&
        among(status, String(row.status), `${String(row.status).charAt(0)}xx`) && (query.get('usable') !== '1' || row.dry_run !== null) &&
        others.every((name) => among(list(name), row[name])) && list('without').every((name) => !row[name as 'session']) &&
        (!q || [row.id, row.path, row.model, row.session, row.reason, row.error_message].some((text) => text?.toLowerCase().includes(q))),
    );
  }

  #explain(body: Record<string, unknown>): Explanation {
    if (typeof body['request_id'] !== 'string') return explain(String(body['body'] ?? ''));
    const { dry_run: kind } = this.#find(body['request_id']);
    if (kind === null) throw new Refusal(400, 'nothing was kept of this request');
    return { ...explain('{}'), source: { kind, unsure: kind === 'shape' ? [{ rule: 'cheaper-titles', code: 'text' }] : [], left_out_messages: 0, left_out_tools: 0, is_more: false } };
  }

  #page(query: URLSearchParams): unknown {
    const limit = Number(query.get('limit') ?? 100);
    const rows = this.#filtered(query);
    const cursor = query.get('cursor');
    const start = cursor ? rows.findIndex((row) => row.id === cursor) + 1 : 0;
    const page = rows.slice(start, start + limit);
    return { requests: page, next_cursor: start + limit < rows.length ? (page.at(-1)?.id ?? null) : null };
  }

  #export({ query }: Question, response: ServerResponse): void {
    const rows = this.#filtered(query);
    const isCsv = query.get('format') === 'csv';
    const lines = isCsv ? ['id,started_at_ms,outcome', ...rows.map((row) => [row.id, row.started_at_ms, row.outcome].join())] : rows.map((row) => JSON.stringify(row));
    response.setHeader('Content-Disposition', `attachment; filename="requests.${isCsv ? 'csv' : 'jsonl'}"`);
    response.end(lines.join('\n'));
  }

  #conversation(session: string): unknown {
    const rows = this.#rows.filter((row) => row.session === session);
    if (rows.length === 0) throw new Refusal(404, `no session ${session}`);
    return { ...conversationOf(session, rows, this.#runningOf(session)), capture: this.#captures.get(session) ?? null };
  }

  #runningOf(session: string): number {
    return this.#running.filter((running) => running.session === session).length;
  }

  #recostNow(): LastRecost {
    if (!this.#recost) return { recost: null };
    const { fromMs, atMs, stoppedMs } = this.#recost;
    const share = Math.min(1, ((stoppedMs ?? Date.now()) - atMs) / RECOST_MS);
    const all = this.#rows.filter((row) => row.tokens !== null && row.started_at_ms >= fromMs).reverse();
    const seen = all.slice(0, Math.round(all.length * share));
    return {
      recost: {
        state: share === 1 ? 'done' : stoppedMs === null ? 'running' : 'stopped', from_ms: fromMs, to_ms: null, percent: Math.floor(share * 100), rows: seen.length,
        changed: Math.floor(seen.length / 3), unpriced: seen.filter((row) => row.cost_usd === null).length, left: 0, left_upstreams: [], oldest_ms: seen[0]?.started_at_ms ?? null,
        newest_ms: seen.at(-1)?.started_at_ms ?? null, error: null,
      },
    };
  }

  #upstream(name: string): Upstream {
    const index = UPSTREAMS.findIndex((one) => one === name);
    if (index < 0) this.#missing(`upstream ${name}`);
    const isDown = name === 'backup';
    return {
      name, url: ['https://anyrouter.top', 'https://mirror.example.com', 'https://10.0.0.9:8443'][index] ?? '', priority: index, weight: 1,
      proxy: isDown ? null : 'http://127.0.0.1:7890', profile: isDown ? 'none' : 'anyrouter', circuit: isDown ? 'open' : 'closed', open_for_ms: isDown ? 42_000 : null,
      is_drained: this.#drained.has(name), failures_in_a_row: isDown ? 5 : 0, recent_good: isDown ? 0 : 38 - index * 20, recent_bad: isDown ? 5 : index, good: 18_211, bad: 402,
      taken_over: index * 211, steering: null, in_flight: this.#running.filter((one) => one.upstream === name).length, max_in_flight: index === 1 ? 20 : null, waiting: 0,
      last_failure: isDown ? { at: new Date(Date.now() - 18_000).toISOString(), ...REFUSED } : null,
      connecting: {},
      lines: index === 0 ? linesOf(Date.now()) : [],
      keys: index === 1 ? this.#keys.all() : [],
      last_test: this.#tests.get(name) ?? null,
    };
  }

  /** A message that is answered wakes its key. */
  #test(name: string, { model, key }: Record<string, unknown>): UpstreamTest {
    if (typeof model !== 'string') return testOf(name);
    const own = this.#keys.all().find(({ fingerprint }) => fingerprint === key);
    const { report, last } = messageTestOf(name, model, own);
    if (last) this.#tests.set(name, last);
    if (last?.is_good === true && own) this.#keys.change(own.fingerprint, 'wake', '');
    return report;
  }

  #save(body: Partial<ConfigDraft> & { base_version: string }): unknown {
    const status = this.#config.save(body.base_version, body, Date.now());
    if (status === 409) throw new Refusal(409, 'another version came into force meanwhile');
    if (status === 422) throw new Refusal(422, 'the configuration is wrong', { problems: this.#config.check(body).problems });
    this.#tell('config', { version: this.#config.version });
    return this.#config.show();
  }

  #listen(response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(':\n\n');
    this.#listeners.add(response);
    response.on('close', () => this.#listeners.delete(response));
  }

  #tell(event: string, data: unknown): void {
    for (const listener of this.#listeners) listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** A second of traffic: some requests end, others begin. */
  #second(): void {
    const now = Date.now();
    const ended = Array.from({ length: this.#random.pick([[0, 5], [1, 4], [2, 2], [3, 1]]) }, () => {
      const row = this.#maker.row(now);
      return { ...row, started_at_ms: now - row.duration_ms };
    });
    this.#rows = [...ended, ...this.#rows];
    for (const row of ended) {
      const wish = this.#captures.get(row.session ?? '');
      if (wish) wish.request_id ??= row.id;
      this.#tell('request', row);
    }
    this.#running = this.#running.filter((one) => now - one.started_at_ms < 7000);
    while (this.#running.length < this.#random.whole(1, 4)) {
      const { id, method, path, model_asked, upstream, upstream_key, client, key, session, agent, request_class } = this.#maker.row(now);
      this.#running.push({
        id, started_at_ms: now, age_ms: 0, method, path, model_asked, upstream, upstream_key, attempts: 1, phase: 'connect', response_bytes: 0, output_tokens: 0,
        silent_ms: null, client, key, session, agent, request_class,
      });
    }
    for (const one of this.#running) {
      one.age_ms = now - one.started_at_ms;
      one.phase = one.age_ms < 1000 ? 'connect' : one.age_ms < 2500 ? 'wait' : 'answer';
      one.silent_ms = one.phase === 'connect' ? null : one.phase === 'wait' ? one.age_ms - 1000 : 120;
      if (one.phase === 'answer') {
        one.output_tokens += this.#random.whole(40, 90);
        one.response_bytes += 4096;
      }
    }
    const failed = ended.filter((row) => row.cause !== null).length;
    const second: SecondOfTraffic = {
      at_ms: now, requests: ended.length, completed: ended.filter((row) => row.outcome === 'completed').length, failed, in_flight: this.#running.length,
      streams: this.#running.filter((one) => one.phase === 'answer').length, tokens: tokensOf(ended), ...costOf(ended),
      response_bytes: ended.reduce((sum, row) => sum + row.response_bytes, 0), skipped: 0, running: this.#running, more: 0,
    };
    this.#tell('second', second);
  }
}

function explain(body: string): Explanation {
  if (body.trim() === '') throw new Refusal(400, 'the body is empty');
  return {
    upstream: 'anyrouter', answered: null, bytes_before: body.length, bytes_after: body.length + 131, on_move: null, touches_cached_prefix: true,
    prefix: { varies: [], elsewhere: [] }, source: null,
    rules: [
      { name: 'anyrouter.bearer', matches: true, unmet: null, condition: null, body: [], outcomes: [] }, { name: 'anyrouter.beta-query', matches: true, unmet: null, condition: null, body: [], outcomes: [] },
      { name: 'anyrouter.beta-flags', matches: true, unmet: null, condition: null, body: [], outcomes: [] }, { name: 'anyrouter.system-list', matches: true, unmet: null, condition: null, body: ['listed'], outcomes: [{ code: 'listed', changed: true }] },
      { name: 'anyrouter.identity', matches: true, unmet: null, condition: null, body: ['it is so already'], outcomes: [{ code: 'same', changed: false }] },
      { name: 'no-warm-up', matches: false, unmet: 'method is HEAD', condition: { code: 'method', name: null, values: [[{ code: 'equals', text: 'HEAD' }]], conditions: [] }, body: [], outcomes: [] },
      { name: 'cheaper-titles', matches: false, unmet: 'model is claude-haiku-*', condition: { code: 'model', name: null, values: [[{ code: 'glob', text: 'claude-haiku-*' }]], conditions: [] }, body: [], outcomes: [] },
      { name: 'headers-file', matches: true, unmet: null, condition: null, body: [], outcomes: [] },
    ],
    head_diff:
      '--- client\n+++ upstream\n@@ -1,4 +1,5 @@\n-POST /v1/messages HTTP/1.1\n-Host: 127.0.0.1:8088\n+POST /v1/messages?beta=true HTTP/1.1\n+Host: anyrouter.top\n Content-Type: application/json\n-x-api-key: ********\n+Authorization: ********\n+anthropic-beta: claude-code-20250219,context-1m-2025-08-07\n',
    not_json: null,
    body_diff:
      '--- client\n+++ upstream\n@@ -2,5 +2,11 @@\n   "model": "claude-sonnet-4-5",\n   "max_tokens": 1024,\n-  "system": "Be brief.",\n+  "system": [\n+    {\n+      "type": "text",\n+      "text": "You are Claude Code, Anthropic\'s official CLI for Claude."\n+    },\n+    { "type": "text", "text": "Be brief. 简短。" }\n+  ],\n   "messages": [\n     {\n',
  };
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString();
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
  response.end(status === 204 ? undefined : JSON.stringify(body));
}
