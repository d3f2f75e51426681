import { describe, expect, it } from 'vitest';

import { pathAbove, suggestKeys, suggestValues } from '@/lib/yaml_completion';

const SCHEMA = {
  $defs: { upstream: { type: 'object', properties: { name: {}, profile: { enum: ['anyrouter', 'none'] } } } },
  properties: {
    gateway: {
      properties: {
        debug: { type: 'boolean', description: 'More lines' },
        timeouts: { properties: { read: {}, connect: {} } },
        upstreams: { type: 'array', items: { $ref: '#/$defs/upstream' } },
      },
    },
  },
};
const labels = (suggestions: { label: string }[]): string[] => suggestions.map((suggestion) => suggestion.label);

describe('pathAbove', () => {
  const lines = ['gateway:', '  timeouts:', '    read: 1s', '', '  upstreams:', '    - name: a', '      profile: none', '    - name: b'];

  it('follows the indentation', () => {
    expect(pathAbove(lines, 3, 4)).toEqual(['gateway', 'timeouts']);
    expect(pathAbove(lines, 3, 2)).toEqual(['gateway']);
    expect(pathAbove(lines, 3, 0)).toEqual([]);
  });

  it('knows entries of lists', () => {
    expect(pathAbove(lines, 6, 6)).toEqual(['gateway', 'upstreams', '[]']);
  });
});

describe('suggestions', () => {
  it('are the keys of the place', () => {
    expect(labels(suggestKeys(SCHEMA, []))).toEqual(['gateway']);
    expect(suggestKeys(SCHEMA, ['gateway'])).toContainEqual({ label: 'debug', insert: 'debug: ', detail: 'More lines' });
    expect(suggestKeys(SCHEMA, ['gateway'])).toContainEqual({ label: 'timeouts', insert: 'timeouts:', detail: '' });
    expect(labels(suggestKeys(SCHEMA, ['gateway', 'upstreams', '[]']))).toEqual(['name', 'profile']);
    expect(suggestKeys(SCHEMA, ['nowhere'])).toEqual([]);
  });

  it('are the values that a key can have', () => {
    expect(labels(suggestValues(SCHEMA, ['gateway', 'debug']))).toEqual(['true', 'false']);
    expect(labels(suggestValues(SCHEMA, ['gateway', 'upstreams', '[]', 'profile']))).toEqual(['anyrouter', 'none']);
    expect(suggestValues(SCHEMA, ['gateway', 'timeouts', 'read'])).toEqual([]);
  });
});
