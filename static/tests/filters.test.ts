import { describe, expect, it } from 'vitest';

import type { RequestRow } from '@/api/types';
import { COST_DIMENSIONS, groupFilter } from '@/lib/cost_links';
import { countFilters, filtersFromQuery, filtersToParameters, filtersToQuery, matchesFilters, noFilters } from '@/lib/filters';

describe('filters in the URL', () => {
  it('survive the way there and back', () => {
    const query = { range: '24h', outcome: 'completed,stalled', status: '200,5xx', model: 'claude-sonnet-4-5', session: 's', q: 'a b', request_class: 'main,compaction', agent_type: 'general-purpose', prompt_id: 'p-1', compaction: 'auto', client: '127.0.0.1', without: 'session,key' };
    expect(filtersToQuery(filtersFromQuery(query))).toEqual(query);
  });

  it('lose what makes no sense', () => {
    const filters = filtersFromQuery({ range: 'soon', outcome: 'fine,completed,completed', status: '999,4xx,teapot', from: '-3', to: '1e999', cause: ['quota', 'x'], without: 'colour' });
    expect(filters).toEqual({ ...noFilters(), outcome: ['completed'], status: ['4xx'], cause: ['quota'] });
  });

  it('have either a stretch or two moments', () => {
    expect(filtersFromQuery({ range: '1h', from: '5' })).toMatchObject({ range: '1h', from: null });
    expect(filtersToQuery({ ...noFilters(), from: 5, to: 9 })).toEqual({ range: 'custom', from: '5', to: '9' });
  });

  it('become moments for the API', () => {
    expect(filtersToParameters({ ...noFilters(), range: '1h', key: ['a', 'b'] }, 10_000_000)).toEqual({ from: '6400000', key: 'a,b' });
    const noon = new Date(2026, 10, 18, 12).getTime();
    const [before, midnight] = [new Date(2026, 10, 17).getTime(), new Date(2026, 10, 18).getTime()];
    expect(filtersToParameters({ ...noFilters(), range: 'today' }, noon)).toEqual({ from: String(midnight) });
    expect(filtersToParameters({ ...noFilters(), range: 'yesterday' }, noon)).toEqual({ from: String(before), to: String(midnight) });
    expect(filtersToParameters({ ...noFilters(), from: 5, to: 9 }, noon)).toEqual({ from: '5', to: '9' });
  });

  it('are counted without the time', () => {
    expect(countFilters({ ...noFilters(), range: '1h', outcome: ['completed', 'stalled'], q: 'x' })).toBe(3);
  });
});

describe('matchesFilters', () => {
  const row = {
    id: 'req_1', started_at_ms: 1000, outcome: 'upstream_error', status: 503, cause: 'pool_closed', model: null, model_asked: 'claude-opus-4-8',
    upstream: 'anyrouter', key: '0a1b2c3d4e5f6071', session: 's', path: '/v1/messages', reason: '', error_message: 'No channel for Opus', request_class: 'subagent', agent_type: 'Explore', prompt_id: 'p-1', compaction: null, client: '10.0.0.7', attempts: 1,
  } as unknown as RequestRow;
  const matches = (part: Partial<ReturnType<typeof noFilters>>): boolean => matchesFilters(row, { ...noFilters(), ...part });

  it('lists a row that has one of the values of each filter', () => {
    expect(matches({})).toBe(true);
    expect(matches({ status: ['200', '5xx'], outcome: ['upstream_error'], model: ['claude-opus-4-8'], cause: ['pool_closed'] })).toBe(true);
    expect(matches({ status: ['503'], q: 'OPUS', session: 's', path: '/v1/messages' })).toBe(true);
    expect(matches({ key: ['ffff', '0a1b2c3d4e5f6071'] })).toBe(true);
    expect(matches({ request_class: ['main', 'subagent'], agent_type: ['Explore'], prompt_id: 'p-1' })).toBe(true);
  });

  it('lists the rows of a client, and those without a value', () => {
    expect(matches({ client: ['10.0.0.7'] })).toBe(true);
    expect(matches({ client: ['10.0.0.70'] })).toBe(false);
    for (const by of COST_DIMENSIONS) expect(matches({ without: [by] }), by).toBe(false);
    const bare = { ...row, model: null, model_asked: null, upstream: null, key: null, session: null, request_class: null, agent_type: null, client: null };
    expect(matchesFilters(bare, { ...noFilters(), without: [...COST_DIMENSIONS] })).toBe(true);
    expect(matchesFilters({ ...bare, session: 's' }, { ...noFilters(), without: ['key', 'session'] })).toBe(false);
    // A key that nobody took counts as none.
    expect(matchesFilters({ ...row, status: 401 }, { ...noFilters(), without: ['key'] })).toBe(true);
    expect(matchesFilters({ ...row, attempts: 0 }, { ...noFilters(), without: ['key'] })).toBe(true);
  });

  it('finds rows by the beginning of a fingerprint, and older rows by the whole', () => {
    expect(matches({ key: ['0A1B2C3D'] })).toBe(true);
    const old = { ...row, key: '0a1b2c3d' };
    expect(matchesFilters(old, { ...noFilters(), key: ['0a1b2c3d4e5f6071'] })).toBe(true);
    expect(matchesFilters(old, { ...noFilters(), key: ['0a1b2c3e4e5f6071'] })).toBe(false);
    expect(matchesFilters({ ...row, key: null }, { ...noFilters(), key: ['0a1b2c3d'] })).toBe(false);
  });

  it('lists rows of a day that is over only in its own day', () => {
    const today = { ...row, started_at_ms: new Date(2026, 10, 18, 9).getTime(), duration_ms: 5 };
    expect(matchesFilters(today, { ...noFilters(), range: 'today' })).toBe(true);
    expect(matchesFilters(today, { ...noFilters(), range: 'yesterday' })).toBe(false);
  });

  it('leaves out others', () => {
    expect(matches({ status: ['4xx'] })).toBe(false);
    expect(matches({ status: ['5xx'], upstream: ['mirror'] })).toBe(false);
    expect(matches({ q: 'sonnet' })).toBe(false);
    expect(matches({ key: ['0a1b2c3d4e5f6072'] })).toBe(false);
    expect(matches({ session: 'other' })).toBe(false);
    expect(matches({ request_class: ['main'] })).toBe(false);
    expect(matches({ prompt_id: 'p-2' })).toBe(false);
    expect(matches({ compaction: ['auto'] })).toBe(false);
    expect(matches({ agent_type: ['general-purpose'] })).toBe(false);
    expect(matches({ from: 1001 })).toBe(false);
    expect(matches({ to: 1000 })).toBe(false);
    expect(matchesFilters({ ...row, agent_type: null }, { ...noFilters(), agent_type: ['Explore'] })).toBe(false);
  });
});

describe('groups of costs', () => {
  it('lead to their requests, also the one without a name', () => {
    expect(groupFilter('client', '10.0.0.7')).toEqual({ client: '10.0.0.7' });
    for (const by of COST_DIMENSIONS) expect(filtersFromQuery(groupFilter(by, null) ?? {})).toEqual({ ...noFilters(), without: [by] });
  });

  it('lead nowhere where they are those beyond the bound, which only models and classes have', () => {
    expect(groupFilter('model', 'other')).toBeNull();
    expect(groupFilter('agent_type', 'other')).toEqual({ agent_type: 'other' });
  });
});
