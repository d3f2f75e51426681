/** The one way to the admin API. Every call is to the own origin; the key travels only in the HttpOnly cookie. */

import type {
  Audit, CaptureWish, ClientToken, Config, ConfigCheck, ConfigDraft, ConfigHistory, ConfigProblem, Conversation, Conversations, ErrorAnswer, ErrorGroups, Explanation,
  GroupBy, Groups, Health, IssuedToken, KeyNames, LastRecost, Limit, LimitUsage, Me, NewLimit, NewToken, NewUser, Notifications, NotificationTest, RequestDetail, RequestPage, Rules, Running, Series, Session, Stats, TeamGroup, TeamUser, TokenChange, Upstream,
  UpstreamKey, Upstreams, UpstreamTest, UserChange, WasteReport,
} from './types';

const BASE = '/api/admin/';

/** Where the live feed is, for `EventSource`. */
export const LIVE_URL = `${BASE}live`;

/** `ApiError.status` of what went wrong in the panel itself. */
export const NO_CALL = -1;

/** An answer that is not a success, or (`status` 0) none at all. */
/** What the API says of an error beside its status. */
interface Said {
  retryAfterS?: number | null;
  problems?: readonly ConfigProblem[];
  code?: string;
  parameters?: Readonly<Record<string, unknown>>;
}

export class ApiError extends Error {
  readonly status: number;
  readonly retryAfterS: number | null;
  readonly problems: readonly ConfigProblem[];
  /** What it is, for programs; empty if it is no error of the API's own. */
  readonly code: string;
  readonly parameters: Readonly<Record<string, unknown>>;

  constructor(status: number, message: string, { retryAfterS = null, problems = [], code = '', parameters = {} }: Said = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.problems = problems;
    this.code = code;
    this.parameters = parameters;
  }
}

/** With a model a test sends a message, which costs something. */
export interface TestOptions {
  /** An overlay that is not saved: the upstream is tested as it has it. */
  config?: string;
  model?: string;
  key?: string;
  client_key?: string;
}

export type Parameters = Record<string, string | number | undefined>;

interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  parameters?: Parameters;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

let refused: () => void = () => undefined;

/** What is to happen when the API asks for a key. */
export function onRefused(action: () => void): void {
  refused = action;
}

export function apiUrl(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return BASE + path + (text && `?${text}`);
}

async function failure(answer: Response): Promise<ApiError> {
  const retryAfter = Number.parseInt(answer.headers.get('retry-after') ?? '', 10);
  const said: Said = { retryAfterS: Number.isNaN(retryAfter) ? null : retryAfter };
  let message = `${answer.status} ${answer.statusText}`.trim();
  try {
    const { error, problems } = (await answer.json()) as Partial<ErrorAnswer>;
    message = error?.message ?? message;
    Object.assign(said, { problems, code: error?.code, parameters: error?.parameters });
  } catch {
    // Not the API's own answer, perhaps a reverse proxy's page: its status says enough.
  }
  return new ApiError(answer.status, message, said);
}

async function call<T>(path: string, { method = 'GET', parameters, body, signal }: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': document.documentElement.lang };
  if (method !== 'GET') headers['Content-Type'] = 'application/json';
  let answer: Response;
  try {
    answer = await fetch(apiUrl(path, parameters), {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, error instanceof Error ? error.message : String(error));
  }
  if (!answer.ok) {
    if (answer.status === 401 && path !== 'session') refused();
    throw await failure(answer);
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

const name = encodeURIComponent;

export const api = {
  session: () => call<Session>('session'),
  signIn: (key: string) => call<undefined>('session', { method: 'POST', body: { key } }),
  signOut: () => call<undefined>('session', { method: 'DELETE' }),

  health: (signal?: AbortSignal) => call<Health>('health', { signal }),
  stats: (parameters: Parameters, signal?: AbortSignal) => call<Stats>('stats', { parameters, signal }),
  series: (parameters: Parameters, signal?: AbortSignal) => call<Series>('stats/series', { parameters, signal }),
  groups: (by: GroupBy, parameters: Parameters, signal?: AbortSignal) =>
    call<Groups>('stats/groups', { parameters: { by, ...parameters }, signal }),

  keyNames: (signal?: AbortSignal) => call<KeyNames>('key-names', { signal }),

  requests: (parameters: Parameters, signal?: AbortSignal) => call<RequestPage>('requests', { parameters, signal }),
  request: (id: string, signal?: AbortSignal) => call<RequestDetail>(`requests/${name(id)}`, { signal }),
  waste: (parameters: Parameters, signal?: AbortSignal) => call<WasteReport>('waste', { parameters, signal }),
  sessions: (parameters: Parameters, signal?: AbortSignal) => call<Conversations>('sessions', { parameters, signal }),
  conversation: (id: string, signal?: AbortSignal) => call<Conversation>(`sessions/${name(id)}`, { signal }),
  captureNext: (id: string) => call<{ capture: CaptureWish }>(`sessions/${name(id)}/capture`, { method: 'POST', body: {} }),
  captureNoMore: (id: string) => call<{ capture: null }>(`sessions/${name(id)}/capture`, { method: 'DELETE' }),
  running: (signal?: AbortSignal) => call<Running>('running', { signal }),
  errors: (parameters: Parameters, signal?: AbortSignal) => call<ErrorGroups>('errors', { parameters, signal }),

  recost: (signal?: AbortSignal) => call<LastRecost>('recost', { signal }),
  beginRecost: (fromMs: number) => call<LastRecost>('recost', { method: 'POST', body: { from_ms: fromMs } }),
  stopRecost: () => call<LastRecost>('recost', { method: 'DELETE' }),

  upstreams: (signal?: AbortSignal) => call<Upstreams>('upstreams', { signal }),
  testUpstream: (of: string, options: TestOptions = {}) => call<UpstreamTest>(`upstreams/${name(of)}/test`, { method: 'POST', body: options }),
  drainUpstream: (of: string) => call<Upstream>(`upstreams/${name(of)}/drain`, { method: 'POST', body: {} }),
  enableUpstream: (of: string) => call<Upstream>(`upstreams/${name(of)}/enable`, { method: 'POST', body: {} }),
  /** `key` is a name or a fingerprint. */
  restKey: (of: string, key: string, time: string) =>
    call<UpstreamKey>(`upstreams/${name(of)}/keys/${name(key)}/rest`, { method: 'POST', body: { for: time } }),
  wakeKey: (of: string, key: string) => call<UpstreamKey>(`upstreams/${name(of)}/keys/${name(key)}/wake`, { method: 'POST', body: {} }),
  /** Has the balance read soon; the answer is what is known until then. */
  readBalance: (of: string, key: string) => call<UpstreamKey>(`upstreams/${name(of)}/keys/${name(key)}/balance`, { method: 'POST', body: {} }),

  notifications: (signal?: AbortSignal) => call<Notifications>('notify', { signal }),
  testNotification: (target: string) => call<NotificationTest>('notify/test', { method: 'POST', body: { target } }),

  users: (signal?: AbortSignal) => call<{ users: TeamUser[] }>('users', { signal }),
  createUser: (user: NewUser) => call<TeamUser>('users', { method: 'POST', body: user }),
  changeUser: (id: string, change: UserChange) => call<TeamUser>(`users/${name(id)}`, { method: 'PATCH', body: change }),
  userGroups: (signal?: AbortSignal) => call<{ groups: TeamGroup[] }>('groups', { signal }),
  createGroup: (group: { name: string; time_zone: string }) => call<TeamGroup>('groups', { method: 'POST', body: group }),
  clientTokens: (signal?: AbortSignal) => call<{ tokens: ClientToken[] }>('tokens', { signal }),
  createToken: (token: NewToken) => call<IssuedToken>('tokens', { method: 'POST', body: token }),
  clientToken: (id: string, signal?: AbortSignal) => call<ClientToken>(`tokens/${name(id)}`, { signal }),
  changeToken: (id: string, change: TokenChange) => call<ClientToken>(`tokens/${name(id)}`, { method: 'PATCH', body: change }),
  rotateToken: (id: string, overlapMs: number) => call<IssuedToken>(`tokens/${name(id)}/rotate`, { method: 'POST', body: { overlap_ms: overlapMs } }),
  /** Of one subject (`subject`, `id`), or all that a token's requests are checked against (`token`). */
  usage: (parameters: Parameters, signal?: AbortSignal) => call<{ usage: LimitUsage[] }>('usage', { parameters, signal }),
  setLimit: (limit: NewLimit) => call<{ limits: Limit[] }>('limits', { method: 'PUT', body: limit }),
  removeLimit: ({ subject, id, measure, window }: Omit<NewLimit, 'amount'>) =>
    call<{ limits: Limit[] }>('limits', { method: 'DELETE', parameters: { subject, id, measure, window } }),
  audit: (parameters: Parameters, signal?: AbortSignal) => call<Audit>('audit', { parameters, signal }),
  revokeToken: (id: string) => call<ClientToken>(`tokens/${name(id)}`, { method: 'DELETE' }),

  me: (signal?: AbortSignal) => call<Me>('me', { signal }),
  ownUsage: (signal?: AbortSignal) => call<{ usage: LimitUsage[] }>('me/usage', { signal }),
  ownStats: (parameters: Parameters, signal?: AbortSignal) => call<Stats>('me/stats', { parameters, signal }),
  ownSeries: (parameters: Parameters, signal?: AbortSignal) => call<Series>('me/stats/series', { parameters, signal }),
  ownSessions: (parameters: Parameters, signal?: AbortSignal) => call<Conversations>('me/sessions', { parameters, signal }),
  ownWaste: (parameters: Parameters, signal?: AbortSignal) => call<WasteReport>('me/waste', { parameters, signal }),
  rotateOwn: (id: string, overlapMs: number) => call<IssuedToken>(`me/tokens/${name(id)}/rotate`, { method: 'POST', body: { overlap_ms: overlapMs } }),

  rules: (signal?: AbortSignal) => call<Rules>('rules', { signal }),
  explain: (request: { head?: string; body: string } | { request_id: string }) =>
    call<Explanation>('explain', { method: 'POST', body: request }),
  /** With the rules of this overlay, which is not saved. */
  explainDraft: (request: { overlay: string; head?: string; body?: string; request_id?: string }) => call<Explanation>('config/explain', { method: 'POST', body: request }),

  config: (signal?: AbortSignal) => call<Config>('config', { signal }),
  configWithHeaders: () => call<Config>('config?reveal=headers'),
  checkConfig: (draft: Partial<ConfigDraft>, signal?: AbortSignal) =>
    call<ConfigCheck>('config/check', { method: 'POST', body: draft, signal }),
  saveConfig: (baseVersion: string, draft: Partial<ConfigDraft>) =>
    call<Config>('config', { method: 'PUT', body: { base_version: baseVersion, ...draft } }),
  configHistory: (signal?: AbortSignal) => call<ConfigHistory>('config/history', { signal }),
  configSchema: (signal?: AbortSignal) => call<unknown>('config/schema', { signal }),
  reload: () => call<{ version: string; pending_restart: string[] }>('reload', { method: 'POST', body: {} }),
};
