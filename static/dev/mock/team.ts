/** Users, groups and client tokens, made up. */

import type { Audit, AuditedChange, ClientToken, IssuedToken, TeamGroup, TeamUser } from '../../src/api/types.ts';

const DAY_MS = 86_400_000;
const TEXT = 'agw_'.padEnd(53, '0Ab1Cd2Ef3');

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export class MockTeam {
  readonly #groups: TeamGroup[];
  readonly #users: TeamUser[];
  readonly #tokens: ClientToken[];
  readonly #audit: AuditedChange[] = [];

  constructor(nowMs: number) {
    const created_at_ms = nowMs - 40 * DAY_MS;
    this.#groups = [{ id: 'grp_1', name: 'backend', time_zone: 'Asia/Shanghai', created_at_ms }];
    const user = { group: 'backend', role: 'member', state: 'active', tokens: 1, created_at_ms } as const;
    this.#users = [
      { ...user, id: 'usr_1', name: 'alice', email: 'alice@example.com', role: 'admin', tokens: 2 },
      { ...user, id: 'usr_2', name: '王小明', email: null },
      { ...user, id: 'usr_3', name: 'ci', email: null, group: null, state: 'suspended' },
    ];
    const token = { name: 'default', group: 'backend', models: [], upstreams: [], addresses: [], expires_at_ms: null, old_until_ms: null, used_on: day(nowMs), created_at_ms, state: 'active' } as const;
    this.#tokens = [
      { ...token, models: [], upstreams: [], addresses: [], id: 'tok_1', user: 'alice', name: 'laptop', hint: 'agw_Ab1C...f30A', old_until_ms: nowMs + DAY_MS / 2 },
      { ...token, models: ['claude-haiku-*'], upstreams: [], addresses: ['10.0.0.0/8'], id: 'tok_2', user: '王小明', hint: 'agw_9xY2...77Qa', expires_at_ms: nowMs + 21 * DAY_MS },
      { ...token, models: [], upstreams: ['mirror-hk'], addresses: [], id: 'tok_3', user: 'ci', group: null, hint: 'agw_0000...Zz11', state: 'suspended', used_on: day(nowMs - 9 * DAY_MS) },
      { ...token, models: [], upstreams: [], addresses: [], id: 'tok_4', user: 'alice', name: 'old', hint: 'agw_41aB...kk0o', state: 'revoked', used_on: null },
    ];
    this.#past(nowMs);
  }

  groups(): { groups: TeamGroup[] } {
    return { groups: this.#groups };
  }

  users(): { users: TeamUser[] } {
    return { users: this.#users };
  }

  tokens(): { tokens: ClientToken[] } {
    return { tokens: this.#tokens };
  }

  changeToken(id: string, body: Record<string, unknown>): ClientToken | undefined {
    const token = this.#tokens.find((one) => one.id === id);
    return token && Object.assign(token, body);
  }

  /** All of them, for what is asked of their limits. */
  all(): { groups: readonly TeamGroup[]; users: readonly TeamUser[]; tokens: readonly ClientToken[] } {
    return { groups: this.#groups, users: this.#users, tokens: this.#tokens };
  }

  addGroup(body: Record<string, unknown>): TeamGroup {
    const group = { id: `grp_${Date.now()}`, name: String(body['name']), time_zone: String(body['time_zone'] ?? 'UTC'), created_at_ms: Date.now() };
    this.#groups.push(group);
    return group;
  }

  addUser(body: Record<string, unknown>): TeamUser {
    const { email, group } = body as { email: string | null; group: string | null };
    const user: TeamUser = {
      id: `usr_${Date.now()}`, name: String(body['name']), email, group, role: body['role'] === 'admin' ? 'admin' : 'member', state: 'active', tokens: 0, created_at_ms: Date.now(),
    };
    this.#users.push(user);
    return user;
  }

  changeUser(id: string, body: Record<string, unknown>): TeamUser | undefined {
    const user = this.#users.find((one) => one.id === id);
    return user && Object.assign(user, body);
  }

  addToken(body: Record<string, unknown>): IssuedToken {
    const { models, upstreams, addresses, expires_at_ms } = body as unknown as ClientToken;
    const id = `tok_${Date.now()}`;
    this.#tokens.unshift({
      id, user: String(body['user']), group: null, name: String(body['name']), hint: 'agw_0Ab1...2Ef3', state: 'active', models, upstreams, addresses, expires_at_ms, old_until_ms: null, used_on: null,
      created_at_ms: Date.now(),
    });
    return { id, token: TEXT, old_until_ms: null };
  }

  rotate(id: string, body: Record<string, unknown>): IssuedToken | undefined {
    const token = this.#tokens.find((one) => one.id === id);
    if (!token) return undefined;
    token.old_until_ms = Date.now() + Number(body['overlap_ms']);
    return { id, token: TEXT, old_until_ms: token.old_until_ms };
  }

  revoke(id: string): ClientToken | undefined {
    const token = this.#tokens.find((one) => one.id === id);
    return token && Object.assign(token, { state: 'revoked' as const });
  }

  audit(query: URLSearchParams): Audit {
    const [before, limit] = [Number(query.get('before') ?? Infinity), Number(query.get('limit') ?? 100)];
    const changes = this.#audit.filter(({ id }) => id < before).slice(0, limit);
    return { changes, next: changes.length < limit ? null : (changes.at(-1)?.id ?? null) };
  }

  /** What was changed before: everything that there is, and some thirty days of changes. */
  #past(nowMs: number): void {
    const [actors, addresses] = [['the panel', "the panel's key", 'command line, user root', 'alice (tok_1)'], ['10.0.0.7', '2001:db8::1', null, '192.0.2.44']];
    const [group, alice, wang, ci] = [this.#groups[0] ?? null, ...this.#users] as const;
    const [laptop, ofWang, ofCi, old] = this.#tokens as readonly (ClientToken | undefined)[];
    const changes: Pick<AuditedChange, 'action' | 'target' | 'before' | 'after'>[] = [
      { action: 'group.create', target: 'grp_1', before: null, after: group },
      ...[alice, wang, ci].map((user) => ({ action: 'user.create', target: user?.id ?? '', before: null, after: user ?? null })),
      ...[laptop, ofWang, ofCi].map((token) => ({ action: 'token.create', target: token?.id ?? '', before: null, after: token ?? null })),
      { action: 'limit.add', target: 'tok_1', before: null, after: 'usd:day:5' },
      { action: 'limit.add', target: 'tok_1', before: 'usd:day:5', after: 'usd:day:12.5' },
      { action: 'limit.remove', target: 'grp_1', before: 'tokens:month:20000000', after: null },
      { action: 'token.rotate', target: 'tok_1', before: laptop ? { ...laptop, hint: 'agw_7Hq2...90aZ', old_until_ms: null } : null, after: laptop ?? null },
      { action: 'token.change', target: 'tok_2', before: ofWang ? { ...ofWang, models: [], addresses: [], expires_at_ms: null } : null, after: ofWang ?? null },
      { action: 'token.revoke', target: 'tok_4', before: old ? { ...old, state: 'active' } : null, after: old ?? null },
      { action: 'user.change', target: 'usr_1', before: alice ? { ...alice, role: 'member', email: null } : null, after: alice ?? null },
      { action: 'user.suspend', target: 'usr_3', before: ci ? { ...ci, state: 'active' } : null, after: ci ?? null },
      { action: 'config.change', target: 'config', before: { version: '6f1c20b7' }, after: { version: 'a90d4e15', changed: ['gateway.log.capture: off -> errors'] } },
      { action: 'upstream.drain', target: 'anyrouter', before: null, after: null },
      { action: 'key.rest', target: 'anyrouter/3f9a0c21', before: null, after: { for: '10m' } },
    ];
    for (let id = 1; id <= 240; id += 1) {
      const [change, who] = [changes[(id - 1) % changes.length], (id * 7) % 4];
      if (change) this.#audit.unshift({ ...change, id, at_ms: nowMs - (240 - id) * DAY_MS / 8, actor: actors[who] ?? '', address: addresses[who] ?? null });
    }
  }
}
