import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** An EventSource that does what the test says. */
class FakeSource {
  static all: FakeSource[] = [];
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  isClosed = false;
  readonly listeners = new Map<string, (event: { data: string }) => void>();

  constructor() {
    FakeSource.all.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    this.listeners.set(name, listener);
  }
  close(): void {
    this.isClosed = true;
  }
}

const page = { hidden: false, changed: (): void => undefined };

async function fresh() {
  vi.resetModules();
  FakeSource.all = [];
  page.hidden = false;
  vi.stubGlobal('EventSource', FakeSource);
  vi.stubGlobal('document', {
    get hidden() {
      return page.hidden;
    },
    addEventListener: (_: string, listener: () => void) => (page.changed = listener),
    removeEventListener: () => undefined,
    // Vue asks for one when it is loaded.
    createElement: () => ({}),
  });
  return import('@/api/live');
}
const last = (): FakeSource => {
  const source = FakeSource.all.at(-1);
  if (!source) throw new Error('no connection was made');
  return source;
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('the live feed', () => {
  it('has one connection however often it is started, and hands events to listeners until they leave', async () => {
    const live = await fresh();
    live.startLive();
    live.startLive();
    expect(FakeSource.all).toHaveLength(1);
    const versions: string[] = [];
    const leave = live.onLive('config', ({ version }) => versions.push(version));
    last().onopen?.();
    expect(live.liveState.value).toBe('open');
    last().listeners.get('config')?.({ data: '{"version":"a"}' });
    leave();
    last().listeners.get('config')?.({ data: '{"version":"b"}' });
    expect(versions).toEqual(['a']);
  });

  it('tells after a gap that the configuration may be another', async () => {
    const live = await fresh();
    const versions: string[] = [];
    live.onLive('config', ({ version }) => versions.push(version));
    live.startLive();
    last().onopen?.();
    expect(versions).toEqual([]);
    page.hidden = true;
    page.changed();
    page.hidden = false;
    page.changed();
    last().onopen?.();
    expect(versions).toEqual(['']);
  });

  it('comes back after growing pauses, and at once when asked', async () => {
    const live = await fresh();
    live.startLive();
    last().onerror?.();
    expect(live.liveState.value).toBe('waiting');
    vi.advanceTimersByTime(999);
    expect(FakeSource.all).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(FakeSource.all).toHaveLength(2);
    last().onerror?.();
    vi.advanceTimersByTime(1999);
    expect(FakeSource.all).toHaveLength(2);
    live.retryLive();
    expect(FakeSource.all).toHaveLength(3);
    expect(FakeSource.all.slice(0, 2).every((source) => source.isClosed)).toBe(true);
  });

  it('begins with the short pause again after it was open', async () => {
    const live = await fresh();
    live.startLive();
    last().onerror?.();
    vi.advanceTimersByTime(1000);
    last().onopen?.();
    last().onerror?.();
    vi.advanceTimersByTime(1000);
    expect(FakeSource.all).toHaveLength(3);
  });

  it('takes silence for a dead connection', async () => {
    const live = await fresh();
    live.startLive();
    last().onopen?.();
    vi.advanceTimersByTime(40_000);
    expect(live.liveState.value).toBe('waiting');
  });

  it('pauses while the page is hidden', async () => {
    const live = await fresh();
    live.startLive();
    last().onopen?.();
    page.hidden = true;
    page.changed();
    expect(live.liveState.value).toBe('paused');
    vi.advanceTimersByTime(120_000);
    expect(FakeSource.all).toHaveLength(1);
    page.hidden = false;
    page.changed();
    expect(FakeSource.all).toHaveLength(2);
  });

  it('pauses when its viewer wants it, whatever else happens, and goes on when told to', async () => {
    const live = await fresh();
    const versions: string[] = [];
    live.onLive('config', ({ version }) => versions.push(version));
    live.startLive();
    last().onopen?.();
    live.holdLive(true);
    expect([live.liveState.value, last().isClosed]).toEqual(['paused', true]);
    page.changed();
    live.retryLive();
    live.startLive();
    vi.advanceTimersByTime(120_000);
    expect(FakeSource.all).toHaveLength(1);
    live.holdLive(false);
    expect(FakeSource.all).toHaveLength(2);
    last().onopen?.();
    // What ended meanwhile was not told.
    expect(versions).toEqual(['']);
    live.holdLive(true);
    live.stopLive();
    live.startLive();
    expect([live.isLiveHeld.value, FakeSource.all.length]).toEqual([false, 3]);
  });

  it('tells of rows in pieces: soon if there are few, once a second if there are many', async () => {
    const live = await fresh();
    live.startLive();
    const pieces: number[] = [];
    const single: string[] = [];
    live.onLive('requests', (rows) => pieces.push(rows.length));
    live.onLive('request', (row) => single.push(row.id));
    const send = (count: number): void => {
      for (let index = 0; index < count; index += 1) last().listeners.get('request')?.({ data: `{"id":"${index}"}` });
    };
    send(2);
    expect(pieces).toEqual([]);
    vi.advanceTimersByTime(0);
    expect(pieces).toEqual([2]);
    send(50);
    vi.advanceTimersByTime(199);
    expect(pieces).toEqual([2]);
    vi.advanceTimersByTime(1);
    expect(pieces).toEqual([2, 50]);
    send(30);
    vi.advanceTimersByTime(999);
    expect(pieces).toEqual([2, 50]);
    vi.advanceTimersByTime(1);
    expect(pieces).toEqual([2, 50, 30]);
    expect(single).toHaveLength(82);
  });

  it('keeps no rows back without end, and none when it stops', async () => {
    const live = await fresh();
    live.startLive();
    const pieces: number[] = [];
    live.onLive('requests', (rows) => pieces.push(rows.length));
    for (let index = 0; index < 2_001; index += 1) last().listeners.get('request')?.({ data: '{}' });
    expect(pieces).toEqual([2_000]);
    live.stopLive();
    expect(pieces).toEqual([2_000, 1]);
  });
});
