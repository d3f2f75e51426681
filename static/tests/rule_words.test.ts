import { describe, expect, it } from 'vitest';

import { conditionOf, isChange, resultKey } from '@/lib/rule_words';

describe('words of the dry run', () => {
  it('are known, or left as they are', () => {
    expect(resultKey('listed')).toBe('listed');
    expect(resultKey('`system` is not a list')).toBe('notAList');
    expect(resultKey('something new')).toBeNull();
    expect(isChange('listed')).toBe(true);
    expect(isChange('it is so already')).toBe(false);
  });

  it('tell conditions in their parts', () => {
    expect(conditionOf('method is HEAD or GET')).toEqual({ what: 'method', name: '', values: ['HEAD', 'GET'] });
    expect(conditionOf('header x-app is present')).toEqual({ what: 'header', name: 'x-app', values: ['present'] });
    expect(conditionOf('path is "/a or /b" or glob /c*')).toEqual({ what: 'path', name: '', values: ['"/a or /b"', 'glob /c*'] });
    expect(conditionOf('client is in 10.0.0.0/8')).toEqual({ what: 'client', name: '', values: ['10.0.0.0/8'] });
    expect(conditionOf('not (method is GET)')).toBeNull();
  });
});
