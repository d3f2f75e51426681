/** A configuration that can be edited: the gateway's rules of it, made simple. */

import { createHash } from 'node:crypto';

import { isMap, isScalar, isSeq, LineCounter, parse, parseDocument } from 'yaml';

import type { Config, ConfigCheck, ConfigDraft, ConfigProblem, ConfigVersion, Rule, Setting } from '../../src/api/types.ts';
import WORDS from '../../src/i18n/problems/en.json' with { type: 'json' };
import { fill } from '../../src/lib/gateway_words.ts';

type Declared = [key: string, fallback: string, help: string, helpZh: string, more?: Partial<Setting>];

const DECLARED: Declared[] = [
  ['gateway.listen', '127.0.0.1:8088', 'Address of the gateway, host:port. PORT changes its port.', '网关的监听地址，host:port。PORT 可修改其端口。', { needs_restart: true }],
  ['gateway.admin_listen', '127.0.0.1:9188', 'Address of the admin service (/metrics), host:port.', '管理服务（/metrics）的监听地址，host:port。', { needs_restart: true }],
  ['gateway.headers_file', 'env/.env.headers.json', 'JSON file of headers that override those of each request.', '请求头 JSON 文件，其中的请求头会覆盖每个请求的同名项。'],
  ['gateway.preserve_host', 'false', "Send the client's Host to the upstream instead of the upstream's own.", '把客户端的 Host 发给上游，而不是上游自己的域名。'],
  ['gateway.forwarded_for', 'append', "X-Forwarded-For to the upstream: append the client's address, keep what came, or off (removed).", '发给上游的 X-Forwarded-For：append 追加客户端地址，keep 保持原样，off 删除。', { choices: ['append', 'keep', 'off'] }],
  ['gateway.database', 'data/gateway.db', 'SQLite file of the request log; off keeps nothing.', '请求日志的 SQLite 文件；off 表示不保留。', { needs_restart: true }],
  ['gateway.debug', 'false', 'Log at debug level: why a body was left alone, each attempt, ...', '输出调试级别的日志：请求体为何未改动、每次尝试等。'],
  ['gateway.system_prompt.replacement', '', "Text that replaces a block's text in the system prompt of POST /v1/messages: that of system[0], or the one that system_prompt.target names. Not set: bodies stay as they are.", '用于替换 POST /v1/messages 系统提示词中一个块的文本：system[0]，或 system_prompt.target 指定的块。未设置时不改动请求体。'],
  ['gateway.system_prompt.target', 'first', 'Which block is replaced: first is system[0], whatever it is (in Claude Code 2.1 the attribution, which should stay); identity is the one that says who asks.', '替换哪一块：first 为 system[0]，不论它是什么（Claude Code 2.1 中是应当保留的归属块）；identity 为说明身份的块。'],
  ['gateway.system_prompt.insert_if_missing', 'false', 'Insert the text as a block in front, behind the attribution of Claude Code 2.1, instead of replacing, when system[0].text does not hold "Claude Code"; with the target identity: when there is no such block.', '当 system[0].text 不含 "Claude Code" 时（target 为 identity 时：没有身份块时），在最前面、Claude Code 2.1 的归属块之后插入一块，而不是替换。'],
  ['gateway.proxy.http', '', 'Outbound proxy for http:// upstreams.', 'http:// 上游的出站代理：http://、https://、socks5:// 或 socks5h://[用户:密码@]主机[:端口]。'],
  ['gateway.proxy.https', '', 'Outbound proxy for https:// upstreams.', 'https:// 上游的出站代理。', { value: 'http://127.0.0.1:7890', source: 'environment', place: 'HTTPS_PROXY', is_locked: true }],
  ['gateway.proxy.none', '', 'Comma list of hosts that are reached without a proxy.', '不经过代理的主机，用逗号分隔。'],
  ['gateway.dashboard.enabled', 'true', 'Serve the panel at /admin of the gateway port.', '在网关端口的 /admin 提供面板。', { is_locked: true, source: 'default' }],
  ['gateway.dashboard.api_key', '', 'Key that the panel asks for; not set: one that the first start makes, dashboard.key in the state folder.', '面板的登录密钥；未设置时，网关在首次启动时自动生成，保存在 state_dir 下的 dashboard.key 中。', { value: '********', source: 'dotenv', place: 'env/.env, DASHBOARD_API_KEY', is_locked: true, is_secret: true }],
  ['gateway.log.format', 'text', 'Log lines as text or json.', '日志格式：text 或 json。', { choices: ['text', 'json'] }],
  ['gateway.log.keep', '30d', 'How long the request log keeps its rows.', '请求日志的保留时间。'],
  ['gateway.log.shapes', '10000', 'Of how many requests with a prompt, the newest, head and shape are kept for dry runs: no keys, and no text of a prompt. 0 keeps none.', '为最近多少个带提示词的请求保留请求头和结构，供试运行使用：不含密钥，也不含提示词文本。0 表示不保留。'],
  ['gateway.log.keep_size', '1GiB', 'How large the request log may grow; beyond it the oldest rows go.', '请求日志的大小上限，超出后删除最旧的记录。'],
  ['gateway.limits.request_body', '32MiB', 'Largest request body; beyond it 413.', '请求体的大小上限，超出返回 413。'],
  ['gateway.limits.header_count', '100', 'Most header fields of a request (at most 250); beyond it 431.', '请求头的数量上限（最多 250），超出返回 431。'],
  ['gateway.limits.queue', '100', 'Most requests that wait for a place at one upstream with max_in_flight; 0: none waits.', '设置了 max_in_flight 的单个上游最多排队的请求数；0 表示不排队。'],
  ['gateway.timeouts.connect', '10s', 'Time to connect to an upstream, TLS included.', '连接上游的时限，包括 TLS。'],
  ['gateway.timeouts.read', '600s', 'Longest silence of an upstream, before its first byte and between bytes.', '上游的最长静默时间，首字节之前与字节之间均适用。'],
  ['gateway.timeouts.first_byte', '', 'How long an upstream may take to begin its answer, before the next one is tried.', '上游开始响应的时限，超时则改试下一个；未设置时与 timeouts.read 相同。'],
  ['gateway.failover.max_attempts', '3', 'Most attempts for one request, the first one included (at most 10).', '单个请求最多尝试几次，包括第一次（最多 10）。'],
  ['gateway.failover.retry_on', '500, 502, 503, 504, 520-524, 529, 429', 'Statuses from 400 on after which the next upstream is tried.', '遇到哪些状态码（400 起）会改试下一个上游，可写范围；或 none。'],
  ['gateway.health.failures', '5', 'Failures in a row after which an upstream counts as down.', '连续失败多少次后视为不可用。'],
  ['gateway.health.probe.path', '', 'Path to ask each upstream for now and then.', '对各上游做健康检查时请求的路径，接在 base_url 的前缀之后；未设置或 off 则不检查。'],
  ['gateway.affinity.sessions', '10000', 'Most sessions that are remembered to have moved to another upstream.', '最多记住多少个已换到其他上游的会话。'],
  ['gateway.dns.servers', '', "Comma list of name servers, address or address:port; not set: the system's.", 'DNS 服务器，用逗号分隔，写地址或“地址:端口”；未设置时使用系统的。'],
];

const FILE = `# The commented default, as it is delivered.
threads: 2

gateway:
  listen: 127.0.0.1:8088
  upstreams:
    - name: anyrouter
      base_url: https://anyrouter.top
    - name: mirror-hk
      base_url: https://mirror.example.com
      priority: 1
      api_keys:
        - { key: "********", name: team-a, weight: 2, max_in_flight: 5 }
        - { key: "********", name: team-b }
        - { key: "\${env.SPARE_KEY}", name: spare }   # kept for Fridays
        - { key: "********" }
        - { key: "********", name: old, enabled: false }
    - name: backup
      base_url: https://10.0.0.9:8443
      priority: 2
      profile: none

  rules:
    - name: no-warm-up            # answer Claude Code's warm-up at once
      match: {method: HEAD, path: /api/hello}
      respond: {status: 204}
    - name: cheaper-titles
      match: {path: /v1/messages, model: "claude-haiku-*"}
      body: {model: {"claude-haiku-*": claude-haiku-4-5}}

  limits:
    request_body: 32MiB
`;
const FIRST: ConfigDraft = {
  overlay: 'gateway:\n  # longer answers of opus\n  timeouts:\n    read: 900s\n',
  headers: '{\n  "__note": "names that begin with __ are comments",\n  "User-Agent": "claude-cli/2.1.330 (external, cli)"\n}\n',
};

const RULE_KEYS = ['name', 'enabled', 'match', 'headers', 'body', 'respond', 'query'];

type Plain = Record<string, unknown>;
const profileRules = [
  'bearer', 'no-forwarded-for', 'beta-query', 'beta-flags', 'beta-1m', 'system-list', 'identity', 'compact',
].map((name) => `anyrouter.${name}`);

function flat(value: unknown, path = ''): [string, string][] {
  if (Array.isArray(value)) return value.some((item) => typeof item === 'object') ? [] : [[path, value.join(', ')]];
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, inner]) => flat(inner, path === '' ? name : `${path}.${name}`));
  }
  return [[path, value === null || value === undefined ? '' : String(value)]];
}

function settingsOf(overlay: string): Setting[] {
  const panel = new Map(flat(parse(overlay)));
  const file = new Map(flat(parse(FILE)));
  const single: Setting[] = DECLARED.map(([key, fallback, help, helpZh, more]) => {
    const fromPanel = panel.get(key);
    const fromFile = file.get(key);
    const source = fromPanel ? 'panel' : fromFile ? 'file' : 'default';
    return {
      key, value: fromPanel ?? fromFile ?? fallback, default: fallback, help, help_zh: helpZh, choices: [], source, is_locked: false, needs_restart: false, is_secret: false,
      place: source === 'panel' ? 'data/overlay.yaml' : source === 'file' ? 'conf/gateway.yaml' : '', ...more,
    };
  });
  return [...single, ...LISTS.map((list) => listRow(list, overlay))];
}

const LISTS = ['upstreams', 'rules', 'routes', 'prices'] as const;

function listOf(list: string, text: string): Plain[] | undefined {
  return (parse(text) as { gateway?: Record<string, Plain[] | undefined> } | null)?.gateway?.[list];
}
function listRow(list: string, overlay: string): Setting {
  const [own, theirs] = [listOf(list, overlay), listOf(list, FILE)];
  const count = (own ?? theirs ?? []).length;
  const source = own ? 'panel' : theirs ? 'file' : 'default';
  return {
    key: `gateway.${list}`, value: count === 1 ? '1 entry' : `${count} entries`, default: '', help: '', help_zh: '', choices: [], source,
    place: source === 'panel' ? 'data/overlay.yaml' : source === 'file' ? 'conf/gateway.yaml' : '', is_locked: false, needs_restart: false, is_secret: false,
  };
}

/** A problem but for its place. */
function told(code: keyof typeof WORDS, parameters: ConfigProblem['parameters'], key: string | null = null): Omit<ConfigProblem, 'where' | 'line' | 'column'> {
  const text = fill(WORDS[code], parameters, (name) => name);
  return { key, message: key === null ? text : `${key}: ${text}`, code, parameters };
}

function problemsOf(draft: ConfigDraft): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const counter = new LineCounter();
  const document = parseDocument(draft.overlay, { lineCounter: counter });
  for (const error of document.errors) {
    const { line, col } = counter.linePos(error.pos[0]);
    problems.push({ where: 'overlay', line, column: col, ...told('not_yaml', { said: error.message.split('\n')[0] ?? '' }) });
  }
  if (problems.length === 0) {
    const known = new Set(DECLARED.map(([key]) => key));
    for (const [key, value] of flat(document.toJS())) {
      const line = draft.overlay.split('\n').findIndex((text) => text.trim().startsWith(`${key.split('.').at(-1)}:`)) + 1;
      const isList = /^gateway\.(upstreams|rules|routes|prices)/.test(key);
      if (key !== 'gateway' && key !== 'threads' && !known.has(key) && !isList) problems.push({ where: 'overlay', line, column: 3, ...told('unknown_key', { name: key, near: null }) });
      if (/timeouts\.(connect|read|first_byte)$/.test(key) && !/^\d+(ms|s|m|h)?$/.test(value)) {
        problems.push({ where: 'overlay', line, column: 5, ...told('not_a_duration', { text: value }, key) });
      }
    }
  }
  const rules = document.getIn(['gateway', 'rules']);
  for (const [index, rule] of (isSeq(rules) ? rules.items : []).entries()) {
    if (!isMap(rule)) continue;
    for (const { key } of rule.items) {
      if (!isScalar(key) || !key.range || RULE_KEYS.includes(String(key.value))) continue;
      const { line, col } = counter.linePos(key.range[0]);
      problems.push({ where: 'overlay', line, column: col, ...told('unknown_key', { name: `gateway.rules[${index}].${String(key.value)}`, near: null }) });
    }
  }
  try {
    JSON.parse(draft.headers);
  } catch (error) {
    problems.push({ where: 'headers', line: 1, column: 1, ...told('headers_expected', { said: error instanceof Error ? error.message : String(error) }) });
  }
  return problems;
}

export class Configuration {
  #present: ConfigVersion;
  #history: ConfigVersion[];

  constructor(nowMs: number) {
    const older = this.#version({ overlay: '', headers: FIRST.headers }, nowMs - 5 * 86_400_000);
    const old = this.#version({ overlay: 'gateway:\n  timeouts:\n    read: 1200s\n  log:\n    keep: 14d\n', headers: FIRST.headers }, nowMs - 2 * 86_400_000);
    this.#present = this.#version(FIRST, nowMs - 3_600_000);
    this.#history = [this.#present, old, older];
  }

  #version(draft: ConfigDraft, atMs: number): ConfigVersion {
    const version = createHash('sha256').update(FILE).update(draft.overlay).update(draft.headers).digest('hex');
    return { version, saved_at_ms: atMs, ...draft };
  }

  #draft(part: Partial<ConfigDraft>): ConfigDraft {
    return { overlay: part.overlay ?? this.#present.overlay, headers: part.headers ?? this.#present.headers };
  }

  get version(): string {
    return this.#present.version;
  }

  show(): Config {
    return {
      version: this.#present.version, path: 'conf/gateway.yaml', overlay_path: 'data/overlay.yaml', settings: settingsOf(this.#present.overlay),
      yaml: FILE, overlay: this.#present.overlay, headers_file: 'env/.env.headers.json', headers: this.#present.headers, pending_restart: [], warnings: [], loaded_at_ms: 0,
    };
  }

  check(part: Partial<ConfigDraft>): ConfigCheck {
    const draft = this.#draft(part);
    const problems = problemsOf(draft);
    if (problems.length > 0) return { problems, changes: [], needs_restart: [], warnings: [] };
    const before = new Map(settingsOf(this.#present.overlay).map((setting) => [setting.key, setting.value]));
    const isOther = (list: string): boolean => JSON.stringify(listOf(list, this.#present.overlay) ?? listOf(list, FILE)) !== JSON.stringify(listOf(list, draft.overlay) ?? listOf(list, FILE));
    const changed = settingsOf(draft.overlay).filter((setting) => (before.get(setting.key) !== setting.value || isOther(setting.key.replace('gateway.', ''))) && !setting.is_locked);
    const changes = changed.map((setting) => ({ key: setting.key, before: before.get(setting.key) ?? '', after: setting.value }));
    if (draft.headers !== this.#present.headers) changes.push({ key: 'env/.env.headers.json', before: '', after: '…' });
    return { problems, changes, needs_restart: changed.filter((setting) => setting.needs_restart).map((setting) => setting.key), warnings: [] };
  }

  /** The status that the API would answer with. */
  save(base: string, part: Partial<ConfigDraft>, nowMs: number): 200 | 409 | 422 {
    if (base !== this.#present.version) return 409;
    const draft = this.#draft(part);
    if (problemsOf(draft).length > 0) return 422;
    this.#present = this.#version(draft, nowMs);
    this.#history = [this.#present, ...this.#history].slice(0, 20);
    return 200;
  }

  history(): ConfigVersion[] {
    return this.#history;
  }

  rules(): { upstream: string; rules: Rule[] }[] {
    const file = (parse(FILE) as { gateway: Plain }).gateway;
    const overlay = ((parse(this.#present.overlay) as { gateway?: Plain } | null)?.gateway ?? {});
    const list = (name: string): Plain[] => ((overlay[name] ?? file[name] ?? []) as Plain[]);
    return list('upstreams').map((upstream) => {
      const switches = (upstream['profile_rules'] ?? {}) as Record<string, unknown>;
      const isAnyrouter = upstream['profile'] !== 'none';
      const fromProfile = profileRules.map((name, index): Rule => ({
        name, source: 'profile', hits: isAnyrouter ? 4210 - index * 311 : 0,
        is_enabled: switches[name] === undefined ? name !== 'anyrouter.compact' : switches[name] === 'on' || switches[name] === true,
      }));
      const own = list('rules').map((rule, index): Rule => ({
        name: String(rule['name']), source: 'operator', is_enabled: rule['enabled'] !== false, hits: 96 - index * 60,
      }));
      const headers: Rule = { name: 'headers-file', source: 'headers-file', is_enabled: true, hits: 4210 };
      return { upstream: String(upstream['name']), rules: [...(isAnyrouter ? fromProfile : []), ...own, headers].sort((a, b) => Number(b.is_enabled) - Number(a.is_enabled)) };
    });
  }
}

export const SCHEMA: unknown = {
  type: 'object',
  properties: {
    threads: { type: 'integer', description: 'Worker threads of each service' },
    gateway: {
      type: 'object',
      properties: {
        ...nest(DECLARED),
        upstreams: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' }, base_url: { type: 'string' }, profile: { enum: ['anyrouter', 'none'] }, priority: { type: 'integer' } } } },
        rules: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' }, enabled: { type: 'boolean' }, match: { type: 'object', properties: { method: {}, path: {}, model: {} } }, headers: { type: 'object', properties: { set: {}, add: {}, remove: {} } }, body: { type: 'object' } } } },
      },
    },
  },
};

function nest(declared: Declared[]): Plain {
  const root: Plain = {};
  for (const [key, fallback, help] of declared) {
    const names = key.split('.').slice(1);
    let at = root;
    names.forEach((name, index) => {
      if (index === names.length - 1) at[name] = { type: fallback === 'true' || fallback === 'false' ? 'boolean' : 'string', description: help };
      else at = ((at[name] ??= { type: 'object', properties: {} }) as { properties: Plain }).properties;
    });
  }
  return root;
}
