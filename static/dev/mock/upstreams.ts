/** Lines and keys of the made-up upstreams, in every state. */

import type { Upstream, UpstreamKey } from '../../src/api/types.ts';

const MINUTE_MS = 60_000;

export const REFUSED = {
  what: 'refused the connection: check that it is running and that base_url is right', what_zh: '拒绝了连接：请确认它正在运行，并检查 base_url', code: 'connect_refused',
} as const;

export function linesOf(nowMs: number): Upstream['lines'] {
  const since_ms = nowMs - 60 * MINUTE_MS;
  return [
    { host: 'anyrouter.top', state: 'ready', connect_ms: 182.4, tls_ms: 190.1, probe_ms: 301.7, since_ms, failures: 2, fault: null },
    { host: 'a-ocnfniawgw.cn-shanghai.fcapp.run', state: 'used', connect_ms: 21.3, tls_ms: 24.8, probe_ms: 96.2, since_ms, failures: 0, fault: null },
    { host: 'pmpjfbhq.cn-nb1.rainapp.top', state: 'down', connect_ms: 40.9, tls_ms: 44.0, probe_ms: 130.5, since_ms: nowMs - 42_000, failures: 9, fault: REFUSED },
  ];
}

/** What rows of the log call the keys of `mirror-hk`. */
export const KEY_LABELS = ['team-a', 'team-b', 'spare', 'b41d0a9c7e52f386'] as const;

/** The keys of `mirror-hk`, which can be rested and woken. */
export class MockKeys {
  readonly #keys: UpstreamKey[];

  constructor(nowMs: number) {
    const key = (name: string | null, fingerprint: string, more: Partial<UpstreamKey> = {}): UpstreamKey => ({
      name, fingerprint, state: 'ready', reason: null, detail: '', detail_zh: '', since_ms: null, until_ms: null, weight: 1, in_flight: 0, max_in_flight: null, requests: 0, tokens: 0, cost: 0, balance: null, ...more,
    });
    const balance = (remaining: number | null): NonNullable<UpstreamKey['balance']> => ({
      remaining, is_unlimited: false, used: remaining === null ? null : 100 - remaining, unit: remaining === null ? '' : 'USD', rest_below: 1, reset_at: null,
      read_at: remaining === null ? null : new Date(nowMs - 4 * MINUTE_MS).toISOString(), error: null,
    });
    this.#keys = [
      key('team-a', '0f2c10bf3d128c71', { weight: 2, in_flight: 2, max_in_flight: 5, requests: 1841, tokens: 92_400_312, cost: 61.27, balance: balance(38.73) }),
      key('team-b', '77aa01b2c3d4e5f6', { state: 'resting', reason: 'rate_limited', detail: 'answered 429', detail_zh: '返回了 429', since_ms: nowMs - 3 * MINUTE_MS, until_ms: nowMs + 30 * MINUTE_MS, requests: 402, tokens: 18_022_114, cost: 12.4 }),
      key('spare', '5d3e9f0011223344', { state: 'low', reason: 'balance', since_ms: nowMs - 90 * MINUTE_MS, requests: 96, tokens: 3_410_220, cost: 2.38, balance: balance(0.62) }),
      key(null, 'b41d0a9c7e52f386', { state: 'disabled', reason: 'refused', detail: 'answered 401', detail_zh: '返回了 401', since_ms: nowMs - 26 * 60 * MINUTE_MS, requests: 12, tokens: 48_000, cost: 0.31, balance: { ...balance(null), error: { code: 'status', what: 'the upstream answered 401, not 200', what_zh: '上游返回了 401，而不是 200' } } }),
      key('old', 'e0e1e2e3e4e5e6e7', { state: 'off' }),
    ];
  }

  all(): UpstreamKey[] {
    const now = Date.now();
    for (const key of this.#keys) if (key.until_ms !== null && key.until_ms < now) this.#set(key, 'ready');
    return this.#keys;
  }

  #set(key: UpstreamKey, state: UpstreamKey['state'], more: Partial<UpstreamKey> = {}): UpstreamKey {
    return Object.assign(key, { state, reason: null, detail: '', detail_zh: '', since_ms: null, until_ms: null, ...more });
  }

  /** `undefined` if there is no such key. */
  change(named: string, action: string, time: string): UpstreamKey | undefined {
    const key = this.#keys.find(({ name, fingerprint }) => name === named || fingerprint === named);
    if (key && action === 'balance') return key;
    if (key && action === 'wake') return this.#set(key, 'ready');
    return key && this.#set(key, 'resting', { reason: 'operator', since_ms: Date.now(), until_ms: Date.now() + Number.parseInt(time, 10) * MINUTE_MS });
  }
}
