import { describe, expect, it } from 'vitest';

import { LOCALES } from '@/i18n';
import { LIST_FILTERS, TEXT_FILTERS } from '@/lib/filters';
import { choicesOf, LOG_COLUMN_NAMES, LOG_COLUMNS, valueText } from '@/lib/log_columns';

import described from '../../docs/openapi.yaml?raw';

describe('columns of the request log', () => {
  it('have words in both languages, and no two columns or values the same', () => {
    for (const locale of LOCALES) {
      const labels = LOG_COLUMN_NAMES.map((name) => LOG_COLUMNS[name].label[locale].trim());
      expect(labels).not.toContain('');
      expect(new Set(labels).size).toBe(labels.length);
      for (const name of LOG_COLUMN_NAMES) {
        const values = Object.values(LOG_COLUMNS[name].values).map((words) => words[locale].trim());
        expect(values).not.toContain('');
        expect(new Set(values).size).toBe(values.length);
      }
    }
  });

  it('are filters of the API, as all that the list offers', () => {
    const isParameter = (name: string): boolean => new RegExp(`\\bname: ${name}\\s*,?\\s+in: query`).test(described);
    expect([...LIST_FILTERS, ...TEXT_FILTERS].filter((name) => !isParameter(name))).toEqual([]);
  });

  it('show usual values in words, others as they are', () => {
    expect(valueText('request_class', 'compaction', 'zh-CN')).toBe('压缩上下文');
    expect(valueText('request_class', 'new-one', 'zh-CN')).toBe('new-one');
    expect(valueText('request_class', 'constructor', 'en')).toBe('constructor');
  });

  it('offer usual values first, then those that were seen', () => {
    const values = choicesOf('request_class', new Set(['zeta', 'main', 'alpha']), 'en').map((choice) => choice.value);
    expect(values).toEqual(['main', 'subagent', 'workflow', 'compaction', 'auxiliary', 'side_reply', 'alpha', 'zeta']);
    expect(choicesOf('agent_type', new Set(['Explore']), 'en')).toEqual([{ value: 'Explore', text: 'Explore' }]);
  });
});
