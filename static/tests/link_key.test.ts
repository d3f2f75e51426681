import { describe, expect, it } from 'vitest';

import { keyIn } from '@/link_key';

describe('the key of a link', () => {
  it('stands behind #key=, percent-encoded', () => {
    expect(keyIn('#key=a-b_c')).toBe('a-b_c');
    expect(keyIn('#key=a%2Fb%20%E4%B8%AD')).toBe('a/b 中');
    expect(keyIn('#key=100%')).toBe('100%');
  });
  it('is not in other fragments', () => {
    for (const hash of ['', '#', '#main', '#keys=x', '#x&key=y']) expect(keyIn(hash)).toBeNull();
  });
});
