/** Keys that work on every page. Pure. */

export type ShellKey = 'palette' | 'search' | 'keys';

type Pressed = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey' | 'isComposing' | 'defaultPrevented'>;

/** What a key that was pressed asks for. While somebody types, letters are letters; Ctrl-K (on Macs Cmd-K) works there too. */
export function shellKey(pressed: Pressed, isTyping: boolean, isMac: boolean): ShellKey | null {
  if (pressed.isComposing || pressed.defaultPrevented || pressed.altKey) return null;
  if (pressed.ctrlKey || pressed.metaKey) {
    // In the fields of a Mac, Ctrl-K deletes the rest of the line.
    const isOne = pressed.ctrlKey !== pressed.metaKey && !pressed.shiftKey && !(isMac && isTyping && pressed.ctrlKey);
    return isOne && pressed.key.toLowerCase() === 'k' ? 'palette' : null;
  }
  if (isTyping) return null;
  if (pressed.key === '/') return 'search';
  return pressed.key === '?' ? 'keys' : null;
}

/** Inputs that take no letters. */
const WITHOUT_LETTERS: readonly string[] = ['button', 'checkbox', 'color', 'file', 'image', 'radio', 'range', 'reset', 'submit'];

/** Whether letters that are pressed there are typed into it, or choose among what it has. */
export function takesLetters(of: { tagName: string; type?: string; isContentEditable?: boolean }): boolean {
  const tag = of.tagName.toLowerCase();
  return of.isContentEditable === true || tag === 'textarea' || tag === 'select' || (tag === 'input' && !WITHOUT_LETTERS.includes(of.type ?? 'text'));
}

export function isMacPlatform(platform: string): boolean {
  return /^(Mac|iP(hone|ad|od))/.test(platform);
}
