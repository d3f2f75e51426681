import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

import { addErrorRule, commonPart, errorRuleNames, freeName, ruleOf } from '@/lib/error_rule';
import { isCopied } from '@/lib/lists';

const group = { cause: 'pool_closed', status: 503, error_type: 'new_api_error', upstream: 'a', message: '当前分组 default 下对于模型 claude-opus-4-8 无可用渠道 (request id: 2026112408154012345)' } as const;
const FILE = 'gateway:\n  failover:\n    errors:\n      - { name: mine, match: { status: 500 }, then: next } # kept\n';

describe('commonPart', () => {
  it('is without ids, models and numbers', () => {
    expect(commonPart(group.message)).toBe('当前分组 default 下对于模型');
    expect(commonPart('This request would exceed your limit of 50 requests')).toBe('This request would exceed your limit of');
    expect(commonPart('')).toBe('');
  });
});

describe('the name of a rule', () => {
  it('is one that no other has', () => {
    expect(errorRuleNames('', FILE)).toEqual(['mine']);
    expect(errorRuleNames('gateway:\n  failover:\n    errors: []\n', FILE)).toEqual([]);
    expect(freeName('mine', ['mine', 'mine-2'])).toBe('mine-3');
    expect(freeName('other', ['mine'])).toBe('other');
  });
});

describe('addErrorRule', () => {
  it('puts what the form says before the rules that there are', () => {
    const overlay = addErrorRule('', FILE, { ...ruleOf(group), then: 'next_key', rest: '10m', disableKey: true, upstream: 'a' });
    expect(parse(overlay)).toEqual({ gateway: { failover: { errors: [
      { name: 'pool-closed', match: { status: 503, type: 'new_api_error', message: '当前分组 default 下对于模型', upstream: 'a' }, then: 'next_key', rest: '10m', disable_key: true },
      { name: 'mine', match: { status: 500 }, then: 'next' },
    ] } } });
    expect(overlay).toContain('# kept');
    expect(isCopied('', FILE, 'failover.errors')).toBe(true);
    expect(isCopied(overlay, FILE, 'failover.errors')).toBe(false);
  });

  it('leaves out what is not set', () => {
    const overlay = addErrorRule('', '', { ...ruleOf({ ...group, error_type: null, message: null }), status: '500-503' });
    expect(parse(overlay)).toEqual({ gateway: { failover: { errors: [{ name: 'pool-closed', match: { status: '500-503' }, then: 'next' }] } } });
  });
});
