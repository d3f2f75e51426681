import { describe, expect, it } from 'vitest';

import { isMacPlatform, shellKey, takesLetters } from '@/lib/shell_keys';

const press = (key: string, more: Partial<KeyboardEvent> = {}) =>
  ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, isComposing: false, defaultPrevented: false, ...more });

describe('shellKey', () => {
  it('knows three keys', () => {
    expect(shellKey(press('k', { ctrlKey: true }), false, false)).toBe('palette');
    expect(shellKey(press('K', { metaKey: true }), false, true)).toBe('palette');
    expect(shellKey(press('/'), false, false)).toBe('search');
    expect(shellKey(press('?', { shiftKey: true }), false, false)).toBe('keys');
  });

  it('leaves letters to whoever types them, but the palette opens from a field too', () => {
    expect(shellKey(press('/'), true, false)).toBeNull();
    expect(shellKey(press('?', { shiftKey: true }), true, false)).toBeNull();
    expect(shellKey(press('k', { ctrlKey: true }), true, false)).toBe('palette');
    // There it deletes the rest of the line.
    expect(shellKey(press('k', { ctrlKey: true }), true, true)).toBeNull();
  });

  it('leaves to the browser and to others what is theirs', () => {
    for (const more of [{ ctrlKey: true, shiftKey: true }, { ctrlKey: true, altKey: true }, { ctrlKey: true, metaKey: true }, { ctrlKey: true, isComposing: true }, { ctrlKey: true, defaultPrevented: true }, {}]) {
      expect(shellKey(press('k', more), false, false), JSON.stringify(more)).toBeNull();
    }
    expect(shellKey(press('/', { ctrlKey: true }), false, false)).toBeNull();
    expect(shellKey(press('/', { altKey: true }), false, false)).toBeNull();
    expect(shellKey(press('/', { isComposing: true }), false, false)).toBeNull();
  });
});

describe('takesLetters', () => {
  it('is so of fields, lists and editors', () => {
    for (const of of [{ tagName: 'INPUT', type: 'text' }, { tagName: 'INPUT', type: 'search' }, { tagName: 'input', type: 'datetime-local' }, { tagName: 'INPUT' }, { tagName: 'TEXTAREA' },
      { tagName: 'SELECT' }, { tagName: 'DIV', isContentEditable: true }]) expect(takesLetters(of), JSON.stringify(of)).toBe(true);
    for (const of of [{ tagName: 'BODY' }, { tagName: 'BUTTON', type: 'button' }, { tagName: 'INPUT', type: 'checkbox' }, { tagName: 'INPUT', type: 'radio' }, { tagName: 'DIV', isContentEditable: false }]) {
      expect(takesLetters(of), JSON.stringify(of)).toBe(false);
    }
  });
});

describe('isMacPlatform', () => {
  it('is so of Apple’s', () => {
    expect(['MacIntel', 'iPhone', 'iPad'].map(isMacPlatform)).toEqual([true, true, true]);
    expect(['Win32', 'Linux x86_64', ''].map(isMacPlatform)).toEqual([false, false, false]);
  });
});
