import { describe, expect, it } from 'vitest';

import { BODY_OUTCOMES, CAUSES, CONDITION_CODES, DELIVERY_CODES, FAULT_CODES, KEY_REASONS, KEY_STATES, OUTCOMES, REASONS, TEST_CODES, TLS_FAULTS } from '@/api/types';
import { preferredLocale } from '@/i18n';
import firstEn from '@/i18n/en';
import moreEn from '@/i18n/en/more';
import firstZh from '@/i18n/zh';
import moreZh from '@/i18n/zh/more';

const [en, zh] = [{ ...firstEn, ...moreEn }, { ...firstZh, ...moreZh }];

function flat(value: object, path = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]): [string, string][] =>
    typeof inner === 'string' ? [[path + key, inner]] : flat(inner as object, `${path}${key}.`),
  );
}
const placeholders = (text: string): string[] => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ''))].sort();

describe('the two languages', () => {
  const english = new Map(flat(en));
  const chinese = new Map(flat(zh));

  it('have no section both among the first words and the others', () => {
    expect(Object.keys(moreEn).filter((section) => section in firstEn)).toEqual([]);
  });

  it('have the same keys', () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it('have the same placeholders, and no text is empty', () => {
    for (const [key, text] of english) {
      const other = chinese.get(key) ?? '';
      expect(text.trim(), key).not.toBe('');
      expect(other.trim(), key).not.toBe('');
      expect(placeholders(other), key).toEqual(placeholders(text));
    }
  });

  it('have as many forms for numbers, or a single one', () => {
    const forms = (text: string): number => text.split(' | ').length;
    for (const [key, text] of english) expect([1, forms(text)], key).toContain(forms(chinese.get(key) ?? ''));
  });

  it('diagnose every cause, tell every reason, and name every outcome', () => {
    expect(Object.keys(en.cause).sort()).toEqual([...CAUSES].sort());
    expect(Object.keys(en.outcome).sort()).toEqual([...OUTCOMES].sort());
    expect(Object.keys(en.reason).sort()).toEqual([...REASONS].sort());
    expect(Object.keys(en.outcomeHelp).sort()).toEqual([...OUTCOMES].sort());
    expect(Object.keys(en.ruleResult).sort()).toEqual([...BODY_OUTCOMES].sort());
    expect(Object.keys(en.fault).sort()).toEqual([...FAULT_CODES].sort());
    expect(Object.keys(en.notify.code).sort()).toEqual([...DELIVERY_CODES].sort());
    expect(Object.keys(en.key.reason).sort()).toEqual([...KEY_REASONS].sort());
    expect(Object.keys(en.key.state).sort()).toEqual([...KEY_STATES].sort());
    expect(Object.keys(en.key.stateHelp).sort()).toEqual([...KEY_STATES].sort());
    expect(Object.keys(en.tlsFault).sort()).toEqual([...TLS_FAULTS, 'unknown'].sort());
    expect(Object.keys(en.condition).sort()).toEqual([...CONDITION_CODES, ...TEST_CODES, 'and', 'or'].sort());
  });
});

describe('preferredLocale', () => {
  it('follows what was chosen, then the browser, then English', () => {
    expect(preferredLocale('en', ['zh-CN'])).toBe('en');
    expect(preferredLocale(null, ['fr', 'zh-TW', 'en'])).toBe('zh-CN');
    expect(preferredLocale('xx', ['en-GB', 'zh'])).toBe('en');
    expect(preferredLocale(null, ['fr'])).toBe('en');
  });
});
