/** What the gateway says changed when a cache was lost: seconds idle and seconds that it lives, or one name and another. Pure. */

export type WasteDetail = { kind: 'idle'; idleMs: number; livesMs: number } | { kind: 'change'; was: string; is: string } | { kind: 'text'; text: string };

const MOVED = ['upstream_changed', 'key_changed', 'model_changed'];

export function wasteDetail(cause: string, text: string): WasteDetail {
  const [was, is, ...others] = text.split('>');
  if (was === undefined || is === undefined || others.length > 0) return { kind: 'text', text };
  if (cause === 'idle' && /^\d+>\d+$/.test(text)) return { kind: 'idle', idleMs: Number(was) * 1000, livesMs: Number(is) * 1000 };
  return MOVED.includes(cause) ? { kind: 'change', was, is } : { kind: 'text', text };
}
