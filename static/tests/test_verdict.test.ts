import { describe, expect, it } from 'vitest';

import type { UpstreamTest } from '@/api/types';
import { verdictOf } from '@/lib/test_verdict';

describe('the verdict of a test', () => {
  const finding = (severity: 'ok' | 'note' | 'problem') => ({ id: severity, severity, cause_en: '', cure_en: '', cause_zh: '', cure_zh: '' });
  const way = (isUsed: boolean, severities: ('ok' | 'note' | 'problem')[], isGood = true): UpstreamTest['ways'][number] => ({
    via: 'direct', used_by_gateway: isUsed, status: 200, findings: severities.map(finding), steps: [{ step: 'tcp', ok: isGood, milliseconds: 1, detail: '', code: '', parameters: {}, message: null }],
  });
  const verdict = (...ways: UpstreamTest['ways']): string => verdictOf({ name: 'a', base_url: '', reachable: true, verdict: 'ok', ways });

  it('is the worst of its steps, and never all fine beside a warning', () => {
    expect(verdict(way(true, ['ok']))).toBe('ok');
    expect(verdict(way(true, ['ok', 'note']))).toBe('warn');
    expect(verdict(way(true, ['note', 'problem']))).toBe('bad');
    expect(verdict(way(true, [], false))).toBe('bad');
    expect(verdictOf({ name: 'a', base_url: '', reachable: false, verdict: 'problem', ways: [way(true, [])] })).toBe('bad');
  });

  it('of an upstream with several addresses is a warning while one of them can be connected to', () => {
    const [failed, fine] = [way(true, [], false), way(true, [])];
    expect(verdict({ ...fine, steps: [...failed.steps, ...fine.steps] })).toBe('warn');
    expect(verdict({ ...fine, steps: [...failed.steps, ...failed.steps] })).toBe('bad');
  });

  it('is that of the gateway where that is worse', () => {
    expect(verdictOf({ name: 'a', base_url: '', reachable: true, verdict: 'note', ways: [way(true, [])] })).toBe('warn');
    expect(verdictOf({ name: 'a', base_url: '', reachable: true, verdict: 'problem', ways: [way(true, [])] })).toBe('bad');
  });

  it('of a way that is not taken is a warning at most', () => {
    expect(verdict(way(true, ['ok']), way(false, ['problem'], false))).toBe('warn');
  });
});
