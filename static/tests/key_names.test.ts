import { describe, expect, it } from 'vitest';

import { setKeyName } from '@/lib/key_names';
import { nameOfKey } from '@/lib/key_text';

const ALICE = '0a1b2c3d4e5f6071';
const DIGITS = '1234567890123456';

describe('the name of a key', () => {
  it('is that of the longest beginning, as the gateway finds it', () => {
    expect(nameOfKey({ '0a1b2c3d': 'short', '0a1b2c3d4e5f': 'long', '0a1b2c3d4e5fffff': 'other' }, ALICE)).toBe('long');
    expect(nameOfKey({ '0a1b2c3': 'seven digits' }, ALICE)).toBeNull();
  });

  it('of a row of an earlier version is that of the only key that it can be of', () => {
    expect(nameOfKey({ [ALICE]: 'alice' }, ALICE.slice(0, 8))).toBe('alice');
    expect(nameOfKey({ [ALICE]: 'alice', '0a1b2c3dffffffff': 'bob' }, ALICE.slice(0, 8))).toBeNull();
  });
});

describe('setKeyName', () => {
  it('writes to the overlay, changes and deletes, and leaves the rest and nothing behind', () => {
    const overlay = '# mine\ngateway:\n  log:\n    keep: 5d\n';
    const named = setKeyName(overlay, '', ALICE, 'alice');
    expect(named).toBe(`${overlay}  key_names:\n    ${ALICE}: alice\n`);
    expect(setKeyName(named, '', ALICE, 'Alice L.')).toContain(`${ALICE}: Alice L.`);
    expect(setKeyName(named, '', ALICE, '')).toBe(overlay);
    expect(setKeyName(setKeyName('', '', ALICE, 'a'), '', ALICE, '')).toBe('');
  });

  it("copies the file's names first: the overlay's count instead of them", () => {
    const file = 'gateway:\n  key_names:\n    9f8e7d6c: ci   # the builders\n';
    const overlay = setKeyName('', file, ALICE, 'alice');
    expect(overlay).toContain('9f8e7d6c: ci');
    expect(overlay).toContain(`${ALICE}: alice`);
    // Without a name the mapping stays: an empty one is not the file's.
    expect(setKeyName(overlay, file, '9f8e7d6c00000000', '')).not.toContain('ci');
  });

  it('changes the beginning that names the key, and writes digits as a text', () => {
    expect(setKeyName('gateway:\n  key_names:\n    "0a1b2c3d": alice\n', '', ALICE, 'bob')).toBe('gateway:\n  key_names:\n    "0a1b2c3d": bob\n');
    expect(setKeyName('', '', DIGITS, 'digits')).toContain(`"${DIGITS}": digits`);
    expect(setKeyName('gateway:\n  key_names:\n    12345678: digits\n', '', DIGITS, '')).toBe('');
  });
});
