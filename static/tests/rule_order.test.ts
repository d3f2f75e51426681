import { describe, expect, it } from 'vitest';

import type { Rule } from '@/api/types';
import { inPlace } from '@/lib/rule_order';

const rule = (name: string, isEnabled = true, source: Rule['source'] = name.startsWith('p') ? 'profile' : name === 'headers-file' ? 'headers-file' : 'operator'): Rule => ({
  name, source, is_enabled: isEnabled, hits: 0,
});
const names = (rules: Rule[]): string => rules.map(({ name }) => name).join(' ');
const ORDER = ['p1', 'p2', 'p3', 'a', 'b', 'c'];

describe('inPlace', () => {
  it('puts rules that are off back where they would apply', () => {
    expect(names(inPlace([rule('p1'), rule('p3'), rule('a'), rule('c'), rule('headers-file'), rule('p2', false), rule('b', false)], ORDER))).toBe('p1 p2 p3 a b c headers-file');
    expect(names(inPlace([rule('p2'), rule('a'), rule('headers-file'), rule('p1', false), rule('p3', false)], ORDER))).toBe('p1 p2 p3 a headers-file');
    expect(names(inPlace([rule('headers-file'), rule('p2', false), rule('a', false), rule('p1', false)], ORDER))).toBe('p1 p2 a headers-file');
  });

  it('leaves what is in place, and what it does not know', () => {
    expect(names(inPlace([rule('p1'), rule('p2', false), rule('a')], ORDER))).toBe('p1 p2 a');
    expect(names(inPlace([rule('a'), rule('x'), rule('y', false)], ORDER))).toBe('a x y');
  });
});
