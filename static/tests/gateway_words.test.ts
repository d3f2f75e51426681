import { describe, expect, it } from 'vitest';

import englishFaults from '@/i18n/faults/en.json';
import chineseFaults from '@/i18n/faults/zh.json';
import english from '@/i18n/problems/en.json';
import chinese from '@/i18n/problems/zh.json';
import englishSteps from '@/i18n/steps/en.json';
import chineseSteps from '@/i18n/steps/zh.json';
import { fill } from '@/lib/gateway_words';

const near = (name: string): string => ` (${name}?)`;
const places = (template: string): string[] => {
  const found: string[] = [];
  fill(template, new Proxy({}, { get: (_, name) => (found.push(String(name)), '') }), near);
  return [...new Set(found)].sort();
};

describe('words of the gateway', () => {
  it('take parameters, and braces that are doubled', () => {
    expect(fill('{a} of {b}', { a: 1, b: 'x' }, near)).toBe('1 of x');
    expect(fill('"{a}" is unknown{near}', { a: '{b}', near: 'c' }, near)).toBe('"{b}" is unknown (c?)');
    expect(fill('"{a}" is unknown{near}', { a: 'x', near: null }, near)).toBe('"x" is unknown');
    expect(fill('${{{name}}} and }}', { name: 'x' }, near)).toBe('${x} and }');
  });

  it('are there for every problem, step and fault, in both languages, with the same parameters', () => {
    expect(Object.keys(english).length).toBeGreaterThan(100);
    const lists: [Record<string, string>, Record<string, string>][] = [
      [english, chinese],
      [englishSteps, chineseSteps],
      [englishFaults, chineseFaults],
    ];
    for (const [inEnglish, inChinese] of lists) {
      expect(Object.keys(inChinese)).toEqual(Object.keys(inEnglish));
      for (const [code, template] of Object.entries(inEnglish)) {
        const other = inChinese[code] ?? '';
        expect(/[一-鿿]/.test(other), code).toBe(true);
        expect(places(other), code).toEqual(places(template));
      }
    }
  });
});
