import { describe, expect, it } from 'vitest';

import { amountOf, limitOf, resetOf, toneOf, usedShare, windowsOf } from '@/lib/limits';

describe('limits', () => {
  it('are read as they are written', () => {
    expect(limitOf('usd:day:5')).toEqual({ measure: 'usd', window: 'day', amount: 5 });
    expect(limitOf('usd:5h:0.25')).toEqual({ measure: 'usd', window: '5h', amount: 0.25 });
    for (const text of ['', 'usd:day', 'usd:year:5', 'eur:day:5', 'usd:day:0', 'usd:day:x', 'usd:day:5:6']) expect(limitOf(text), text).toBeNull();
  });

  it('of what is spent have no window "at one time"', () => {
    expect(windowsOf('usd')).not.toContain('now');
    expect(windowsOf('tokens')).not.toContain('now');
    expect(windowsOf('requests')).toContain('now');
    expect(windowsOf('sessions')).toContain('now');
  });

  it('are used by what is spent and what is held', () => {
    expect(usedShare({ used: 3, held: 1, amount: 5 })).toBe(0.8);
    expect(usedShare({ used: null, held: 0, amount: 5 })).toBeNull();
  });

  it('are worth a look from 80 % on', () => {
    expect([null, 0, 0.79, 0.8, 0.99, 1, 1.2].map(toneOf)).toEqual(['ok', 'ok', 'ok', 'warn', 'warn', 'bad', 'bad']);
  });

  it('have amounts above nothing, whole ones but for dollars', () => {
    expect([amountOf('usd', ' 2.5 '), amountOf('usd', '$5'), amountOf('tokens', '2000000')]).toEqual([2.5, 5, 2_000_000]);
    for (const [measure, text] of [['usd', '0'], ['usd', '-1'], ['usd', ''], ['usd', 'x'], ['requests', '1.5'], ['sessions', '1e999']] as const) expect(amountOf(measure, text), text).toBeNull();
  });

  it('say when they begin anew, or that they never do', () => {
    expect(resetOf({ window: 'day', resets_at_ms: 7 })).toEqual({ kind: 'at', atMs: 7 });
    expect((['total', '5h', 'now', 'minute'] as const).map((window) => resetOf({ window, resets_at_ms: null }).kind)).toEqual(['never', 'unopened', 'none', 'none']);
  });
});
