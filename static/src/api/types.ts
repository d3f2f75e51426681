/** Shapes of the admin API, as docs/api.md tells them. Times are milliseconds since 1970, money is US dollars. */

export const OUTCOMES = [
  'completed', 'upstream_error', 'stream_error', 'truncated', 'stalled', 'unreachable', 'gateway_error', 'rejected',
  'client_aborted', 'client_stalled',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const CAUSES = [
  'waf_page', 'context_1m', 'pool_closed', 'quota', 'saturated', 'network', 'incomplete_request', 'thinking_off',
  'user_agent', 'country', 'key_refused', 'proxy', 'unreachable', 'too_slow', 'broke_off', 'overloaded',
  'bad_request', 'not_found', 'rejected', 'gateway', 'other',
] as const;
export type Cause = (typeof CAUSES)[number];

/** Why the gateway refused a request, or failed to serve it. */
export const REASONS = [
  'not_http', 'request_line', 'line_end', 'method', 'version', 'target', 'header', 'host', 'connection',
  'content_length', 'transfer_encoding', 'framing', 'chunked', 'expect', 'target_bytes', 'header_bytes',
  'header_count', 'header_timeout', 'request_body', 'request_bodies_total', 'body_share', 'body_min_rate',
  'body_timeout', 'connections', 'incomplete', 'unknown_key', 'cross_site', 'panel_key', 'service_worker', 'rule',
  'write_timeout', 'unsent_answers', 'client_gone', 'resolve', 'connect', 'connect_refused', 'connect_timeout',
  'tls', 'proxy', 'proxy_timeout', 'upstream_full', 'first_byte_timeout', 'closed', 'bad_answer', 'no_answer',
  'web_page', 'interim_flood', 'stalled', 'truncated', 'no_message_stop', 'unreadable', 'internal',
] as const;

export interface Session {
  may_read: boolean;
  may_write: boolean;
  key_is_set: boolean;
  version: string;
}

export interface Health {
  status: 'ok' | 'degraded' | 'draining';
  version: string;
  boot_id: string;
  pid: number;
  started_at_ms: number;
  ready: boolean;
  draining: boolean;
  in_flight: number;
  streams: number;
  held_body_bytes: number;
  resident_bytes: number | null;
  config: { path: string | null; loaded_at_ms: number };
  log: {
    path: string;
    written: number;
    dropped: number;
    dropped_rejected: number;
    write_failures: number;
    queued: number;
    bytes: number | null;
  } | null;
}

export interface Tokens {
  input: number;
  output: number;
  cache_write: number;
  cache_read: number;
}

export interface Spread {
  count: number;
  mean: number | null;
  p50: number | null;
  p90: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Stats {
  from_ms: number;
  to_ms: number;
  requests: number;
  success_rate: number | null;
  outcomes: Record<Outcome, number>;
  statuses: Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx' | 'none', number>;
  tokens: Tokens;
  cache_hit_rate: number | null;
  cost_usd: number;
  unpriced_requests: number;
  request_bytes: number;
  response_bytes: number;
  attempts: number;
  tool_uses: number;
  duration_ms: Spread;
  first_byte_ms: Spread;
  first_token_ms: Spread;
}

export interface SeriesPoint {
  at_ms: number;
  requests: number;
  completed: number;
  failed: number;
  rejected: number;
  client_aborted: number;
  tokens: Tokens;
  cost_usd: number;
  response_bytes: number;
  duration_p50_ms: number | null;
  duration_p95_ms: number | null;
  first_token_p50_ms: number | null;
  first_token_p95_ms: number | null;
}

export interface Series {
  from_ms: number;
  to_ms: number;
  step_ms: number;
  points: SeriesPoint[];
}

export type GroupBy = 'model' | 'upstream' | 'path' | 'key';

export interface Group {
  name: string | null;
  requests: number;
  completed: number;
  failed: number;
  success_rate: number | null;
  tokens: Tokens;
  cost_usd: number;
  unpriced_requests: number;
  request_bytes: number;
  response_bytes: number;
  duration_ms: Spread;
  first_token_ms: Spread;
}

export interface Groups {
  by: GroupBy;
  groups: Group[];
}

export interface RequestRow {
  id: string;
  started_at_ms: number;
  duration_ms: number;
  queue_ms: number | null;
  connect_ms: number | null;
  first_byte_ms: number | null;
  first_token_ms: number | null;
  longest_gap_ms: number | null;
  tokens_per_second: number | null;
  client: string | null;
  http: string;
  method: string;
  path: string;
  status: number | null;
  outcome: Outcome;
  reason: string;
  cause: Cause | null;
  upstream: string | null;
  attempts: number;
  request_bytes: number;
  response_bytes: number;
  key: string | null;
  session: string | null;
  agent: string | null;
  parent_agent: string | null;
  rewrite: string;
  rules: string[];
  model_asked: string | null;
  model: string | null;
  is_stream: boolean;
  tokens: Tokens | null;
  cost_usd: number | null;
  stop_reason: string | null;
  error_type: string | null;
  error_message: string | null;
  tool_uses: number | null;
  events: number | null;
}

export interface RequestPage {
  requests: RequestRow[];
  next_cursor: string | null;
}

export type FaultCode =
  | 'resolve' | 'connect_refused' | 'connect_timeout' | 'connect' | 'tls' | 'proxy' | 'proxy_timeout' | 'proxy_answer'
  | 'queue_full' | 'queue_timeout' | 'first_byte_timeout' | 'write_timeout' | 'closed' | 'bad_answer' | 'interim_flood'
  | 'web_page' | 'no_answer' | 'status' | 'stalled' | 'truncated' | 'no_message_stop' | 'stream_error'
  | 'probe_status' | 'probe_failed' | 'probe_timeout';

/** What an upstream did, as the rest of a sentence that begins with its name. Rows of older versions have no code. */
export interface Fault {
  what: string;
  what_zh: string | null;
  code?: FaultCode | undefined;
  parameters?: Record<string, string | number | boolean | null>;
}

export interface RequestDetail extends RequestRow {
  tried: (Fault & { upstream: string })[];
  /** What the gateway itself says of a failure; then `error_message` is its words for that. */
  fault: (Fault & { upstream: string }) | null;
  error_body: string | null;
  capture: { head: string; body: string; is_cut: boolean } | null;
}

export type SessionGroup = Omit<Group, 'name' | 'success_rate' | 'duration_ms' | 'first_token_ms'>;

export interface Conversation {
  session: string;
  first_at_ms: number;
  last_at_ms: number;
  total: SessionGroup;
  agents: (SessionGroup & { name: string | null; parent: string | null })[];
  requests: RequestRow[];
}

export type Phase = 'queue' | 'connect' | 'wait' | 'answer';

export interface RunningRequest {
  id: string;
  started_at_ms: number;
  age_ms: number;
  method: string;
  path: string;
  model_asked: string | null;
  upstream: string | null;
  phase: Phase;
  response_bytes: number;
  client: string | null;
  session: string | null;
}

export interface Running {
  running: RunningRequest[];
  more: number;
}

export interface ErrorGroup {
  cause: Cause | null;
  outcome: Outcome;
  status: number | null;
  reason: string;
  error_type: string | null;
  upstream: string | null;
  message: string | null;
  count: number;
  first_at_ms: number;
  last_at_ms: number;
  example_id: string;
}

export interface ErrorGroups {
  groups: ErrorGroup[];
  total: number;
}

export interface Upstream {
  name: string;
  url: string;
  priority: number;
  weight: number;
  proxy: string | null;
  profile: string;
  circuit: 'closed' | 'half_open' | 'open';
  open_for_ms: number | null;
  is_drained: boolean;
  failures_in_a_row: number;
  recent_good: number;
  recent_bad: number;
  good: number;
  bad: number;
  taken_over: number;
  in_flight: number;
  max_in_flight: number | null;
  waiting: number;
  last_failure: (Fault & { at: string }) | null;
}

export interface Upstreams {
  upstreams: Upstream[];
  moved_sessions: number;
}

export interface TestStep {
  step: string;
  ok: boolean;
  milliseconds: number;
  detail: string;
}

export interface Finding {
  id: string;
  severity: 'ok' | 'note' | 'problem';
  cause_en: string;
  cure_en: string;
  cause_zh: string;
  cure_zh: string;
}

/** One way to an upstream: directly, or through the outbound proxy. */
export interface TestWay {
  via: string;
  used_by_gateway: boolean;
  steps: TestStep[];
  status: number | null;
  findings: Finding[];
}

export interface UpstreamTest {
  name: string;
  base_url: string;
  reachable: boolean;
  ways: TestWay[];
}

export interface SecondOfTraffic {
  at_ms: number;
  requests: number;
  completed: number;
  failed: number;
  in_flight: number;
  streams: number;
  tokens: Tokens;
  cost_usd: number;
  response_bytes: number;
  skipped: number;
  running: RunningRequest[];
}

export type RuleSource = 'system-prompt' | 'profile' | 'operator' | 'headers-file';

export interface Rule {
  name: string;
  source: RuleSource;
  is_enabled: boolean;
  hits: number;
}

export interface Rules {
  upstreams: { upstream: string; rules: Rule[] }[];
}

export interface Explanation {
  upstream: string | null;
  answered: number | null;
  rules: { name: string; matches: boolean; unmet: string | null; body: string[] }[];
  head_diff: string;
  body_diff: string;
  not_json: string | null;
  bytes_before: number;
  bytes_after: number;
  touches_cached_prefix: boolean;
}

export type SettingSource = 'command_line' | 'environment' | 'dotenv' | 'panel' | 'file' | 'default';

export interface Setting {
  key: string;
  value: string;
  default: string;
  help: string;
  source: SettingSource;
  place: string;
  is_locked: boolean;
  needs_restart: boolean;
  is_secret: boolean;
}

export interface Config {
  version: string;
  path: string | null;
  overlay_path: string;
  settings: Setting[];
  yaml: string;
  overlay: string;
  headers_file: string;
  headers: string;
  pending_restart: string[];
  warnings: ConfigProblem[];
}

export interface ConfigProblem {
  where: string;
  line: number | null;
  column: number | null;
  message: string;
}

export interface ConfigChange {
  key: string;
  before: string;
  after: string;
}

export interface ConfigCheck {
  problems: ConfigProblem[];
  changes: ConfigChange[];
  needs_restart: string[];
  warnings: ConfigProblem[];
}

export interface ConfigDraft {
  overlay: string;
  headers: string;
}

export interface ConfigVersion extends ConfigDraft {
  version: string;
  saved_at_ms: number;
}

export interface ConfigHistory {
  versions: ConfigVersion[];
}

export interface ErrorAnswer {
  type: 'error';
  error: { type: string; message: string };
  request_id?: string;
  problems?: ConfigProblem[];
}
