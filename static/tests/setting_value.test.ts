import { describe, expect, it } from 'vitest';

import { sourceShown, valueShown } from '@/lib/setting_value';

const setting = { value: 'in force', default: 'default', is_locked: false, source: 'panel' as const };

describe('the value of a setting', () => {
  it('is the one in force, also of a list entry of the overlay, whose parts it has no words for', () => {
    expect(valueShown(setting, { saved: null, edited: null })).toBe('in force');
    expect(sourceShown(setting, { saved: null, edited: null })).toBe('panel');
  });

  it('is the edit while there is one, and the default once it is taken back', () => {
    expect(valueShown(setting, { saved: 'old', edited: 'mine' })).toBe('mine');
    expect(sourceShown({ ...setting, source: 'file' }, { saved: null, edited: 'mine' })).toBe('panel');
    expect(valueShown(setting, { saved: 'old', edited: null })).toBe('default');
    expect(sourceShown(setting, { saved: 'old', edited: null })).toBe('default');
  });

  it('is what fixes it, whatever the overlay says', () => {
    const locked = { ...setting, is_locked: true, source: 'environment' as const };
    expect(valueShown(locked, { saved: 'of the overlay', edited: 'of the overlay' })).toBe('in force');
    expect(sourceShown(locked, { saved: 'of the overlay', edited: 'of the overlay' })).toBe('environment');
  });
});
