import { describe, expect, it } from 'vitest';

import type { ErrorGroup, FaultCode, Upstream } from '@/api/types';
import { apiUrl } from '@/api/api';
import { clientSamples, OPTIONS, teamUrl } from '@/lib/client_samples';
import { byCause } from '@/lib/error_groups';
import { gatewayUrl } from '@/lib/gateway_address';
import { fromLocalInput, toLocalInput } from '@/lib/local_input';
import { sharesOf } from '@/lib/stats';
import { timelineParts } from '@/lib/timeline';
import { tlsSample } from '@/lib/tls_sample';
import { stateOf } from '@/lib/upstream_state';
import { wasSent } from '@/lib/was_sent';

describe('apiUrl', () => {
  it('leaves out what is not set and encodes the rest', () => {
    expect(apiUrl('requests', { q: 'a&b', from: undefined, session: '', limit: 5 })).toBe('/api/admin/requests?q=a%26b&limit=5');
    expect(apiUrl('health')).toBe('/api/admin/health');
  });
});

describe('timelineParts', () => {
  const names = (times: Parameters<typeof timelineParts>[0]): string[] => timelineParts(times).map((part) => `${part.name} ${part.fromMs}-${part.toMs}`);

  it('follow one another to the end', () => {
    expect(names({ duration_ms: 5000, queue_ms: 10, connect_ms: 50, first_byte_ms: 800, first_token_ms: 900 })).toEqual([
      'queue 0-10', 'connect 10-50', 'wait 50-800', 'think 800-900', 'stream 900-5000',
    ]);
  });

  it('leave the rest to the part that did not end', () => {
    expect(names({ duration_ms: 100, queue_ms: 0, connect_ms: null, first_byte_ms: null, first_token_ms: null })).toEqual(['connect 0-100']);
    expect(names({ duration_ms: 100, queue_ms: 0, connect_ms: 20, first_byte_ms: null, first_token_ms: null })).toEqual(['connect 0-20', 'wait 20-100']);
    expect(names({ duration_ms: 100, queue_ms: 0, connect_ms: 20, first_byte_ms: 60, first_token_ms: null })).toEqual(['connect 0-20', 'wait 20-60', 'stream 60-100']);
    expect(names({ duration_ms: 9, queue_ms: null, connect_ms: null, first_byte_ms: null, first_token_ms: null })).toEqual(['queue 0-9']);
  });

  it('never reach beyond the end or overlap', () => {
    expect(names({ duration_ms: 100, queue_ms: 50, connect_ms: 40, first_byte_ms: 120, first_token_ms: null })).toEqual(['queue 0-50', 'wait 50-100']);
  });
});

describe('gatewayUrl', () => {
  const place = (origin: string) => new URL(origin);
  it('is the own origin, but for the admin service', () => {
    expect(gatewayUrl(place('https://relay.example'), '127.0.0.1:8088', '127.0.0.1:9188')).toBe('https://relay.example');
    expect(gatewayUrl(place('http://127.0.0.1:8088'), '127.0.0.1:8088', '127.0.0.1:9188')).toBe('http://127.0.0.1:8088');
    expect(gatewayUrl(place('http://10.0.0.2:9188'), '0.0.0.0:8088', '[::]:9188')).toBe('http://10.0.0.2:8088');
    expect(gatewayUrl(place('http://10.0.0.2:9188'), null, null)).toBe('http://10.0.0.2:9188');
  });
});

describe('clientSamples', () => {
  const url = 'http://127.0.0.1:8088';
  const samples = clientSamples(url);
  const options = Object.fromEntries(OPTIONS.map(({ name, value }) => [name, value]));
  const parsed = (client: keyof typeof samples, title: string): unknown => JSON.parse(samples[client].find((sample) => sample.title === title)?.code ?? '');

  it('have the address, and JSON is JSON', () => {
    const elsewhere = ['memberKey', 'managedSettings'];
    for (const { title, code } of Object.values(samples).flat()) expect(code.includes(url)).toBe(!elsewhere.includes(title));
    const env = { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: 'sk-your-key', ...options };
    expect(parsed('claude', 'claudeSettings')).toEqual({ env });
    expect(parsed('vscode', 'vscodeSettings')).toEqual({
      'claudeCode.disableLoginPrompt': true,
      'claudeCode.environmentVariables': Object.entries(env).map(([name, value]) => ({ name, value })),
    });
  });

  it('give a team an address that others can reach, or say where to put it', () => {
    for (const [own, team] of [
      [url, 'http://ADDRESS-OF-THE-GATEWAY:8088'],
      ['http://localhost:8088', 'http://ADDRESS-OF-THE-GATEWAY:8088'],
      ['https://[::1]', 'https://ADDRESS-OF-THE-GATEWAY'],
      ['https://relay.example', 'https://relay.example'],
      ['http://localhost.example:8088', 'http://localhost.example:8088'],
      ['http://10.0.0.2:8088', 'http://10.0.0.2:8088'],
    ] as const) expect(teamUrl(own)).toBe(team);
    expect(parsed('team', 'managedSettings')).toEqual({ env: { ANTHROPIC_BASE_URL: 'http://ADDRESS-OF-THE-GATEWAY:8088', ...options } });
  });

  it('tell every Claude Code, the agent SDK too, what makes more of a gateway', () => {
    const titles = ['bash', 'powershell', 'claudeSettings', 'vscodeSettings', 'managedSettings', 'pythonAgent', 'javascriptAgent'];
    const ofClaudeCode = Object.values(samples).flat().filter(({ title }) => titles.includes(title));
    expect(ofClaudeCode).toHaveLength(titles.length);
    for (const { title, code } of ofClaudeCode) {
      for (const { name, value } of OPTIONS) expect(code, title).toMatch(new RegExp(`${name}\\W+(value\\W+)?${value}\\b`));
    }
  });

  it('put no key into the file of a team', () => {
    expect(parsed('team', 'memberKey')).toEqual({ env: { ANTHROPIC_AUTH_TOKEN: 'sk-your-key' } });
  });
});

describe('byCause', () => {
  it('adds up, most frequent first', () => {
    const group = (cause: ErrorGroup['cause'], count: number, first: number, last: number): ErrorGroup => ({
      cause, count, first_at_ms: first, last_at_ms: last, outcome: 'upstream_error', status: 503, reason: '', error_type: null, upstream: 'a', message: null, fault: null, example_id: `${count}`,
    });
    const causes = byCause([group('quota', 5, 10, 20), group('pool_closed', 4, 5, 9), group('pool_closed', 3, 1, 30), group('other', 1, 1, 1)]);
    expect(causes.map(({ cause, count, firstAtMs, lastAtMs }) => [cause, count, firstAtMs, lastAtMs])).toEqual([
      ['pool_closed', 7, 1, 30], ['quota', 5, 10, 20], ['other', 1, 1, 1],
    ]);
  });
});

describe('stateOf', () => {
  it('is healthy only after a success', () => {
    const upstream: Upstream = {
      name: 'a', url: '', priority: 0, weight: 1, proxy: null, profile: 'none', circuit: 'closed', open_for_ms: null, is_drained: false, failures_in_a_row: 0, recent_good: 0, recent_bad: 0, good: 0, bad: 0,
      taken_over: 0, steering: null, in_flight: 0, max_in_flight: null, waiting: 0, last_failure: null, connecting: {}, lines: [], keys: [], last_test: null,
    };
    expect(stateOf(upstream)).toBe('untried');
    expect(stateOf({ ...upstream, good: 3 })).toBe('closed');
    expect(stateOf({ ...upstream, bad: 2, failures_in_a_row: 2 })).toBe('failing');
    expect(stateOf({ ...upstream, good: 3, bad: 1, failures_in_a_row: 1 })).toBe('failing');
    expect(stateOf({ ...upstream, bad: 5, failures_in_a_row: 5, circuit: 'open' })).toBe('open');
    expect(stateOf({ ...upstream, is_drained: true, circuit: 'open' })).toBe('drained');
  });
});

describe('small helpers', () => {
  it('shares of nothing are nothing', () => {
    expect(sharesOf([])).toEqual([]);
    expect(sharesOf([0, 0])).toEqual([0, 0]);
    expect(sharesOf([1, 3])).toEqual([0.25, 0.75]);
  });

  it('moments survive an input field, to the minute', () => {
    const at = new Date(2026, 0, 5, 7, 9).getTime();
    expect(toLocalInput(at)).toBe('2026-01-05T07:09');
    expect(fromLocalInput(toLocalInput(at))).toBe(at);
    expect(toLocalInput(null)).toBe('');
    expect(fromLocalInput('')).toBeNull();
  });
});

describe('wasSent', () => {
  it('is sure only of connections, and of failures to get one', () => {
    const what = 'refused the connection';
    const of = (...codes: (FaultCode | undefined)[]) => wasSent({
      outcome: 'unreachable', connect_ms: null, first_byte_ms: null, tried: codes.map((code) => ({ upstream: 'a', what, what_zh: null, ...(code && { code }) })),
    });
    expect(of()).toBe('no');
    expect(of('connect_refused', 'connect_timeout', 'resolve', 'tls', 'proxy', 'queue_full')).toBe('no');
    expect(of('closed', 'connect_refused')).toBe('unknown');
    expect(of('status', 'connect_refused')).toBe('unknown');
    expect(of(undefined), 'rows of older versions have words, and those are for people').toBe('unknown');
    expect(wasSent({ outcome: 'unreachable', connect_ms: 4, first_byte_ms: null, tried: [] })).toBe('yes');
  });
});

describe('tlsSample', () => {
  const settings = [{ key: 'gateway.tls.listen', value: '0.0.0.0:8443', where: '' }] as unknown as Parameters<typeof tlsSample>[0];
  const warning = (code: string) => ({ where: '', line: null, column: null, key: null, message: '', code, parameters: { path: '/etc/c.pem' } });

  it('names the certificate that clients do not trust by themselves', () => {
    const sample = tlsSample(settings, [warning('certificate_self_signed')], 'gw.example');
    expect(sample?.path).toBe('/etc/c.pem');
    expect(sample?.code).toBe('export ANTHROPIC_BASE_URL=https://gw.example:8443\nexport NODE_EXTRA_CA_CERTS=/etc/c.pem');
  });

  it('has nothing to say of a certificate that is trusted, or without a listener', () => {
    expect(tlsSample(settings, [warning('panel_key_short')], 'gw.example')).toBeNull();
    expect(tlsSample([], [warning('certificate_self_signed')], 'gw.example')).toBeNull();
  });
});
