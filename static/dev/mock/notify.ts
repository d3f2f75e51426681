/** Targets of notifications and what was told last. */

import type { Notifications, NotificationTest } from '../../src/api/types.ts';

const ALL = [
  'upstream_down', 'upstream_up', 'all_down', 'all_up', 'key_down', 'key_up', 'balance_low', 'cost_above', 'cache_fell', 'config_refused', 'log_failing', 'log_back', 'certificate_ending', 'limit_spent',
];
const SAID = { en: 'answered that the signature does not match: sign match fail or timestamp is not within one hour', zh: '返回签名不匹配：sign match fail or timestamp is not within one hour' };

export function notifications(nowMs: number): Notifications {
  const target = { language: 'zh-CN', proxy: null, failed: 0, dropped: 0, waiting: 0 } as const;
  return {
    targets: [
      { ...target, name: 'ops', kind: 'feishu', host: 'open.feishu.cn', events: ALL, sent: 41, last: { at_ms: nowMs - 18 * 60_000, ok: true, code: 'ok', said: null } },
      { ...target, name: 'night', kind: 'dingtalk', host: 'oapi.dingtalk.com', events: ['all_down', 'all_up', 'cost_above'], sent: 3, failed: 2, waiting: 1, last: { at_ms: nowMs - 4 * 60_000, ok: false, code: 'refused', said: SAID } },
      { ...target, name: 'email', kind: 'email', host: 'smtp.example.com:465', language: 'en', proxy: 'socks5h://127.0.0.1:7890', events: ['certificate_ending'], sent: 0, last: null },
    ],
    recent: [
      { at_ms: nowMs - 60_000, event: 'limit_spent', text: { en: '80 % of the limit of user alice (5 dollars a day) is used: 4.02 dollars; it begins again at 2026-11-29 00:00 (Asia/Shanghai), in 3h 13m', zh: '用户 alice 的限额（每天 5 美元）已用 80%：4.02 美元；将于 2026-11-29 00:00（Asia/Shanghai）重置，还有 3 小时 13 分钟' } },
      { at_ms: nowMs - 4 * 60_000, event: 'upstream_down', text: { en: 'upstream "backup" is down: it refused the connection', zh: '上游“backup”不可用：拒绝了连接' } },
      { at_ms: nowMs - 18 * 60_000, event: 'key_down', text: { en: 'the key team-b of the upstream "mirror-hk" rests for 33m: the upstream limits its requests (answered 429)', zh: '上游“mirror-hk”的密钥 team-b 暂停使用 33m：触发限流（返回了 429）' } },
      { at_ms: nowMs - 26 * 3_600_000, event: 'cost_above', text: { en: 'the last 24 hours cost $52.10, more than $50', zh: '过去 24 小时的费用为 $52.10，超过 $50' } },
    ],
  };
}

/** `undefined` if there is no such target. */
export function testOfTarget(name: string): NotificationTest | undefined {
  const found = notifications(0).targets.find((one) => one.name === name);
  if (!found) return undefined;
  const { kind, last } = found;
  return last?.ok === false
    ? { target: name, kind, ok: false, code: last.code, said: last.said, status: 200, milliseconds: 83 }
    : { target: name, kind, ok: true, code: 'ok', said: null, status: 200, milliseconds: 212 };
}
