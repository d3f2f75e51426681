/** Tests of the made-up upstreams, with a message where a model is named. */

import type { Finding, LastTest, TestStep, TriedMessage, UpstreamKey, UpstreamTest } from '../../src/api/types.ts';

const NEWEST: Record<string, string | undefined> = { haiku: 'claude-haiku-4-5', sonnet: 'claude-sonnet-4-5', opus: 'claude-opus-5-5' };

const REFUSED: Finding = {
  id: 'connect_refused', severity: 'problem',
  cause_en: 'The connection was refused: nothing listens at this address and port, or a firewall rejects it.',
  cure_en: 'Check host and port in base_url, and that the upstream is running.',
  cause_zh: '连接被拒绝：该地址和端口没有服务在监听，或被防火墙拒绝。', cure_zh: '请检查 base_url 的主机和端口，并确认上游正在运行。',
};
const REACHABLE: Finding = {
  id: 'reachable_without_key', severity: 'ok', cause_en: 'The upstream is reachable; it asks for a key, and none was sent.', cure_en: 'Nothing to do.',
  cause_zh: '上游可以连通；它要求密钥，而本次没有发送密钥。', cure_zh: '无需处理。',
};
const ANSWERED: Finding = {
  id: 'answered', severity: 'ok', cause_en: 'The upstream answered a message: key, model and shape of the request are as it wants them.', cure_en: 'Nothing to do.',
  cause_zh: '上游响应了一条消息：密钥、模型和请求的形式都符合它的要求。', cure_zh: '无需处理。',
};
const NO_CHANNEL: Finding = {
  id: 'no_channel', severity: 'problem', cause_en: 'The relay has no channel for this model in the group of the key: the key itself is taken.',
  cure_en: "Choose a model that the relay lists, or give the key another group on the relay's web site.",
  cause_zh: '中转站在该密钥的分组下没有这个模型的可用渠道；密钥本身没有问题。', cure_zh: '请选择中转站提供的模型，或在中转站网站上更换密钥的分组。',
};
const SAID = '当前分组 default 下对于模型 claude-opus-5-5 无可用渠道 (request id: 2026112408154012345)';

function step(of: TestStep['step'], milliseconds: number, code: string, parameters: TestStep['parameters'], ok = true): TestStep {
  return { step: of, ok, milliseconds, detail: '', code, parameters, message: null };
}

/** The way to an upstream. */
export function testOf(name: string): UpstreamTest {
  if (name === 'backup') {
    const steps = [step('dns', 0, 'is_address', { host: '10.0.0.9' }), step('tcp', 3.2, 'connect_failed', { address: '10.0.0.9:8443', said: 'Connection refused' }, false)];
    return { name, base_url: 'https://10.0.0.9:8443', reachable: false, verdict: 'problem', ways: [{ via: 'direct', used_by_gateway: true, steps, status: null, findings: [REFUSED] }] };
  }
  const end = [step('tls', 61, 'tls_done', { version: 'TLSv1.3', name: 'anyrouter.top' }), step('http', 240, 'answered_without_key', { target: '/v1/models?limit=1', status: 401, said: '' })];
  return {
    name, base_url: 'https://anyrouter.top', reachable: true, verdict: 'ok',
    ways: [
      { via: 'http://127.0.0.1:7890', used_by_gateway: true, steps: [step('tcp', 1.1, 'connected', { address: '127.0.0.1:7890' }),
        step('proxy', 12, 'tunnel_opened', { proxy: 'http://127.0.0.1:7890', target: 'anyrouter.top:443' }), ...end], status: 401, findings: [REACHABLE] },
      { via: 'direct', used_by_gateway: false, steps: [step('dns', 3.4, 'resolved', { host: 'anyrouter.top', addresses: '203.0.113.7' }), step('tcp', 38, 'connected', { address: '203.0.113.7:443' }), ...end], status: 401, findings: [REACHABLE] },
    ],
  };
}

/** The message that a test sends: one of Opus is refused, others are answered. */
function messageOf(model: string, key: string): TriedMessage {
  const isGood = !model.includes('opus');
  return {
    key, model, status: isGood ? 200 : 503,
    times: { dns_ms: null, connect_ms: 13.4, tls_ms: 61.2, first_byte_ms: isGood ? 812.4 : 190.3, first_token_ms: isGood ? 815.9 : null, total_ms: isGood ? 830.2 : 191 },
    sent: {
      method: 'POST', target: '/v1/messages?beta=true', bytes: 24_310,
      headers: [['host', 'anyrouter.top'], ['authorization', '********'], ['anthropic-version', '2023-06-01'], ['anthropic-beta', 'claude-code-20250219,context-1m-2025-08-07'], ['user-agent', 'claude-cli/2.1.150 (external, cli)']]
        .map(([name = '', value = '']) => ({ name, value })),
      head_diff: '--- client\n+++ upstream\n@@ -1,3 +1,3 @@\n-POST /v1/messages HTTP/1.1\n-host: 127.0.0.1:8088\n+POST /v1/messages?beta=true HTTP/1.1\n+host: anyrouter.top\n anthropic-version: 2023-06-01\n',
      body_diff: '',
    },
    came: {
      headers: [{ name: 'content-type', value: isGood ? 'text/event-stream' : 'application/json' }, { name: 'x-oneapi-request-id', value: '2026112408154012345' }],
      error_type: isGood ? null : 'new_api_error', error_message: isGood ? null : SAID, model: isGood ? model : null, stop_reason: isGood ? 'max_tokens' : null,
      tokens: isGood ? { input: 5211, output: 1, cache_write: 0, cache_read: 0 } : null, cost: isGood ? 0.0052 : null,
    },
    finding: isGood ? ANSWERED : NO_CHANNEL,
  };
}

/** The same with a message to this model, and what is remembered of it. */
export function messageTestOf(name: string, asked: string, key: UpstreamKey | undefined): { report: UpstreamTest; last: LastTest | null } {
  const report = testOf(name);
  const [way] = report.ways;
  if (!report.reachable || !way) return { report, last: null };
  const model = NEWEST[asked] ?? asked;
  const label = key?.name ?? key?.fingerprint ?? '0a1b2c3d4e5f6071';
  const message = messageOf(model, label);
  const { finding, status, times, came } = message;
  const isGood = finding.severity === 'ok';
  const parameters = { model, key: label, status: String(status), said: SAID };
  way.steps.push({ ...step('message', times.total_ms, isGood ? 'message_answered' : 'message_failed', parameters, isGood), message });
  way.findings.push(finding);
  const last = {
    at: new Date().toISOString(), is_scheduled: false, key: label, model, status, finding: finding.id, cause_en: finding.cause_en, cause_zh: finding.cause_zh, is_good: isGood, first_byte_ms: times.first_byte_ms, total_ms: times.total_ms, cost: came?.cost ?? null,
  };
  return { report: { ...report, verdict: isGood ? report.verdict : 'problem' }, last };
}
