/** Users, groups and client tokens, made up. */

import type { ClientToken, IssuedToken, TeamGroup, TeamUser } from '../../src/api/types.ts';

const DAY_MS = 86_400_000;
const TEXT = 'agw_'.padEnd(53, '0Ab1Cd2Ef3');

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export class MockTeam {
  readonly #groups: TeamGroup[];
  readonly #users: TeamUser[];
  readonly #tokens: ClientToken[];

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
}
