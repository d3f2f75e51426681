/** Limits, what is used of them, and what a holder sees of the own tokens, made up. */

import type { ClientToken, Limit, LimitUsage, Me, NewLimit, TeamGroup, TeamUser } from '../../src/api/types.ts';

type Kind = Limit['subject'];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The texts with which somebody logs in. */
export const LOGINS: Readonly<Record<string, string>> = { agw_admin: 'tok_1', agw_member: 'tok_2' };

interface Team {
  groups: readonly TeamGroup[];
  users: readonly TeamUser[];
  tokens: readonly ClientToken[];
}

const limit = (subject: Kind, id: string, name: string, text: string): Limit => {
  const [measure, window, amount] = text.split(':') as [Limit['measure'], Limit['window'], string];
  return { subject, id, name, limit: text, measure, window, amount: Number(amount) };
};
const same = (one: Pick<Limit, 'measure' | 'window'>, other: Pick<Limit, 'measure' | 'window'>): boolean => one.measure === other.measure && one.window === other.window;

/** When a window began and ends; null where it does neither. */
function spanOf(window: Limit['window'], nowMs: number): [number | null, number | null] {
  const day = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const at = new Date(nowMs);
  switch (window) {
    case 'minute':
      return [Math.floor(nowMs / 60_000) * 60_000, Math.floor(nowMs / 60_000) * 60_000 + 60_000];
    case '5h':
      return [nowMs - 2 * HOUR_MS, nowMs + 3 * HOUR_MS];
    case 'day':
      return [day, day + DAY_MS];
    case 'week': {
      const monday = day - ((at.getUTCDay() + 6) % 7) * DAY_MS;
      return [monday, monday + 7 * DAY_MS];
    }
    case 'month':
      return [Date.UTC(at.getUTCFullYear(), at.getUTCMonth()), Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1)];
    case 'total':
      return [nowMs - 40 * DAY_MS, null];
    case 'now':
      return [null, null];
  }
}

/** So much of each amount is used: some are low, one is near its end, one is used up. */
const SHARES = [0.31, 0.86, 0.55, 1, 0.12, 0.97, 0.4];

export class MockLimits {
  #limits: Limit[] = [
    limit('token', 'tok_1', 'alice/laptop', 'usd:5h:5'),
    limit('token', 'tok_1', 'alice/laptop', 'requests:minute:60'),
    limit('user', 'usr_1', 'alice', 'usd:day:20'),
    limit('token', 'tok_2', '王小明/default', 'usd:day:5'),
    limit('token', 'tok_2', '王小明/default', 'requests:now:4'),
    limit('user', 'usr_2', '王小明', 'tokens:month:2000000'),
    limit('group', 'grp_1', 'backend', 'usd:month:300'),
  ];

  /** The limits with this query, or null if there is no such subject. */
  limits(query: URLSearchParams, team: Team): { limits: Limit[] } | null {
    const subject = query.get('subject') as Kind | null;
    const id = query.get('id');
    if (subject === null || id === null) return { limits: this.#limits.filter((one) => subject === null || one.subject === subject) };
    const of = subjectOf(subject, id, team);
    return of && this.#of(subject, of.id);
  }

  set(body: NewLimit, team: Team): { limits: Limit[] } | null {
    const of = subjectOf(body.subject, body.id, team);
    if (!of) return null;
    const { measure, window, amount } = body;
    const next = limit(body.subject, of.id, of.name, `${measure}:${window}:${String(amount)}`);
    const at = this.#limits.findIndex((one) => one.subject === next.subject && one.id === next.id && same(one, next));
    if (at < 0) this.#limits.push(next);
    else this.#limits[at] = next;
    return this.#of(next.subject, next.id);
  }

  remove(query: URLSearchParams, team: Team): { limits: Limit[] } | null {
    const gone = { measure: query.get('measure'), window: query.get('window') } as Limit;
    const of = subjectOf(query.get('subject') as Kind, query.get('id') ?? '', team);
    const isIt = (one: Limit): boolean => one.subject === query.get('subject') && one.id === of?.id && same(one, gone);
    if (!of || !this.#limits.some(isIt)) return null;
    this.#limits = this.#limits.filter((one) => !isIt(one));
    return this.#of(query.get('subject') as Kind, of.id);
  }

  usage(query: URLSearchParams, team: Team): { usage: LimitUsage[] } | null {
    const token = query.get('token');
    if (token !== null) return team.tokens.some((one) => one.id === token) ? { usage: this.#appliedTo(token, team) } : null;
    const found = this.limits(query, team);
    return found && { usage: found.limits.map((one) => this.#usage(one)) };
  }

  /** What the holder of a token sees; without one it is the operator. */
  me(token: string | null, team: Team): Me {
    const own = team.tokens.find((one) => one.id === token);
    if (!own) return { role: 'operator', user: null, group: null, token: null, tokens: [], usage: [] };
    const tokens = team.tokens.filter((one) => one.user === own.user).map(({ id, name, hint, state, used_on }) => ({ id, name, hint, state, used_on }));
    const role = team.users.find((one) => one.name === own.user)?.role ?? 'member';
    return { role, user: own.user, group: own.group, token: own, tokens, usage: this.ownUsage(own.id, team).usage };
  }

  /** The same without what a group's figures would tell of others. */
  ownUsage(token: string, team: Team): { usage: LimitUsage[] } {
    return { usage: this.#appliedTo(token, team).map((one) => (one.subject === 'group' ? { ...one, used: null, held: null, left: null } : one)) };
  }

  #of(subject: Kind, id: string): { limits: Limit[] } {
    return { limits: this.#limits.filter((one) => one.subject === subject && one.id === id) };
  }

  #appliedTo(token: string, team: Team): LimitUsage[] {
    const own = team.tokens.find((one) => one.id === token);
    const ids = [token, team.users.find((one) => one.name === own?.user)?.id, team.groups.find((one) => one.name === own?.group)?.id];
    return this.#limits.filter((one) => ids.includes(one.id)).map((one) => this.#usage(one));
  }

  #usage(of: Limit): LimitUsage {
    const nowMs = Date.now();
    const [opens_at_ms, resets_at_ms] = spanOf(of.window, nowMs);
    if (of.measure === 'requests' && of.window === 'minute') return { ...of, used: null, held: 0, left: null, is_used_up: false, opens_at_ms: null, resets_at_ms: null };
    const unit = of.measure === 'usd' ? 1e4 : 1;
    const share = SHARES[this.#limits.indexOf(of) % SHARES.length] ?? 0;
    const used = Math.round(of.amount * share * unit) / unit;
    const held = of.window === 'now' || share === 1 ? 0 : Math.round(of.amount * 0.02 * unit) / unit;
    const left = Math.max(0, Math.round((of.amount - used - held) * unit) / unit);
    return { ...of, used, held, left, is_used_up: used >= of.amount, opens_at_ms, resets_at_ms };
  }
}

function subjectOf(kind: Kind, id: string, { groups, users, tokens }: Team): { id: string; name: string } | null {
  if (kind === 'token') {
    const token = tokens.find((one) => one.id === id || `${one.user}/${one.name}` === id);
    return token ? { id: token.id, name: `${token.user}/${token.name}` } : null;
  }
  const found = (kind === 'user' ? users : groups).find((one) => one.id === id || one.name === id);
  return found ? { id: found.id, name: found.name } : null;
}
