import { describe, expect, it } from 'vitest';

import { wasteDetail } from '@/lib/waste_detail';

describe('what changed when a cache was lost', () => {
  it('is how long nobody used it, and how long it lives', () => {
    expect(wasteDetail('idle', '412>300')).toEqual({ kind: 'idle', idleMs: 412_000, livesMs: 300_000 });
  });

  it('is one name and another where something was exchanged', () => {
    expect(wasteDetail('upstream_changed', 'near>far')).toEqual({ kind: 'change', was: 'near', is: 'far' });
    expect(wasteDetail('model_changed', 'claude-opus-5>claude-sonnet-5')).toEqual({ kind: 'change', was: 'claude-opus-5', is: 'claude-sonnet-5' });
  });

  it('is told as it came where it is neither', () => {
    for (const [cause, text] of [['rules_changed', '+new,-old'], ['rules_changed', '+a>b'], ['history_changed', 'settings'], ['idle', 'long'], ['upstream_changed', 'a>b>c']] as const) {
      expect(wasteDetail(cause, text)).toEqual({ kind: 'text', text });
    }
  });
});
