import { describe, expect, it } from 'vitest';

import type { RunningRequest } from '@/api/types';
import { noFilters } from '@/lib/filters';
import { follow, matchesRunning, silenceOf } from '@/lib/running';

const AT = 1_000_000;
const request = (more: Partial<RunningRequest> = {}): RunningRequest => ({
  id: 'req_1', started_at_ms: AT, age_ms: 0, method: 'POST', path: '/v1/messages', model_asked: 'claude-opus-4-8', upstream: 'relay', phase: 'answer',
  response_bytes: 0, client: '127.0.0.1', session: 'session-1', key: '0a1b2c3d4e5f6071', agent: null, request_class: null, upstream_key: null, attempts: 1,
  output_tokens: 0, silent_ms: 0, ...more,
});

describe('follow', () => {
  it('tells the speed of the last seconds, not of the whole', () => {
    let known = follow(new Map(), [request({ output_tokens: 0 })], AT);
    expect(known.get('req_1')?.rate).toBeNull();
    for (let second = 1; second <= 10; second += 1) known = follow(known, [request({ output_tokens: 20 * second })], AT + second * 1000);
    expect(known.get('req_1')?.rate).toBeCloseTo(20);
    for (let second = 11; second <= 20; second += 1) known = follow(known, [request({ output_tokens: 200 })], AT + second * 1000);
    expect(known.get('req_1')?.rate).toBe(0);
  });

  it('forgets what is over, and keeps few samples', () => {
    let known = follow(new Map(), [request(), request({ id: 'req_2' })], AT);
    for (let second = 1; second <= 100; second += 1) known = follow(known, [request({ output_tokens: second })], AT + second * 1000);
    expect([...known.keys()]).toEqual(['req_1']);
    expect(known.get('req_1')?.samples.length).toBeLessThan(10);
  });
});

describe('silenceOf', () => {
  it('is worth a word after seconds, and a warning after half a minute', () => {
    expect([null, undefined, 0, 4_999, 5_000, 29_999, 30_000].map(silenceOf)).toEqual(['none', 'none', 'none', 'none', 'quiet', 'quiet', 'long']);
  });
});

describe('matchesRunning', () => {
  const NOW = AT + 60_000;
  const matches = (filters: object): boolean => matchesRunning(request(), { ...noFilters(), ...filters }, NOW);

  it('is the list of requests: what a running one has is compared', () => {
    expect(matches({})).toBe(true);
    expect(matches({ model: ['claude-opus-4-8'], upstream: ['relay'], key: ['0a1b2c3d'], session: 'session-1', q: 'OPUS' })).toBe(true);
    for (const other of [{ model: ['x'] }, { upstream: ['x'] }, { key: ['ffff'] }, { session: 'x' }, { path: '/x' }, { q: 'x' }]) {
      expect(matches(other), JSON.stringify(other)).toBe(false);
    }
  });

  it('shows it in a time that goes on, whenever it began', () => {
    for (const span of [{ from: AT - 1 }, { from: NOW }, { from: AT, to: NOW + 1 }, { to: NOW + 1 }, ...['15m', '24h', '30d', 'today', 'week', 'month'].map((range) => ({ range }))]) {
      expect(matches(span), JSON.stringify(span)).toBe(true);
    }
    expect(matchesRunning(request(), { ...noFilters(), range: '15m' }, AT + 3_600_000)).toBe(true);
  });

  it('does not show it in a time that is over, or is to come', () => {
    for (const span of [{ range: 'yesterday' }, { to: NOW }, { from: AT - 1, to: AT + 1 }, { from: NOW + 1 }]) expect(matches(span), JSON.stringify(span)).toBe(false);
  });

  it('leaves it out where only those that are over can be meant', () => {
    expect(matches({ outcome: ['completed'] })).toBe(false);
    expect(matches({ status: ['200'] })).toBe(false);
    expect(matches({ cause: ['network'] })).toBe(false);
  });
});
