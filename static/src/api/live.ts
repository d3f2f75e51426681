/** The live feed: one connection for the whole panel, kept while somebody listens and the page can be seen. */

import { readonly, ref } from 'vue';

import { backoffMs } from '@/lib/backoff';
import { paceMs } from '@/lib/pace';

import { LIVE_URL } from './api';
import type { RequestRow, SecondOfTraffic } from './types';

export type LiveState = 'off' | 'connecting' | 'open' | 'waiting' | 'paused';

interface Events {
  /** One that is over. */
  request: RequestRow;
  /** The same, those of a moment together, in the order of their ends: for lists. */
  requests: readonly RequestRow[];
  second: SecondOfTraffic;
  /** Without a version: after a gap, in which another configuration may have come into force. */
  config: { version: string };
}
type Name = keyof Events;
type Listener<N extends Name> = (event: Events[N]) => void;

const NAMES = ['request', 'second', 'config'] as const;
/** The server sends something each second; after so long a silence the connection is dead, whatever the socket says. */
const SILENCE_MS = 40_000;

/** Rows that may wait to be shown. */
const MOST_QUEUED = 2_000;

const state = ref<LiveState>('off');
const retryAtMs = ref<number | null>(null);
const listeners: { [N in Name]: Set<Listener<N>> } = { request: new Set(), requests: new Set(), second: new Set(), config: new Set() };

let source: EventSource | null = null;
let attempt = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let silenceTimer: ReturnType<typeof setTimeout> | undefined;
let heardAtMs = 0;
/** Rows that are to be shown with the next piece. */
let queue: RequestRow[] = [];
let queueTimer: ReturnType<typeof setTimeout> | undefined;
let mayShowAtMs = 0;
let isWanted = false;
const held = ref(false);
/** Whether a connection was open before: what happened since was not told. */
let hasMissed = false;

export const liveState = readonly(state);
/** Whether its viewer paused it. */
export const isLiveHeld = readonly(held);
/** When the next attempt is made, while the state is `waiting`. */
export const liveRetryAtMs = readonly(retryAtMs);

/** Calls back for each event of this name until the returned function is called. */
export function onLive<N extends Name>(name: N, listener: Listener<N>): () => void {
  listeners[name].add(listener);
  return () => {
    listeners[name].delete(listener);
  };
}

/** Begins to listen. Nothing happens if it was begun already. */
export function startLive(): void {
  if (isWanted) return;
  isWanted = true;
  document.addEventListener('visibilitychange', followVisibility);
  followVisibility();
}

/** Ends it, for example at sign-out. */
export function stopLive(): void {
  isWanted = false;
  hasMissed = false;
  held.value = false;
  document.removeEventListener('visibilitychange', followVisibility);
  disconnect('off');
}

/** Does not wait any longer for the next attempt. */
export function retryLive(): void {
  if (isWanted && state.value === 'waiting') connect();
}

/** Pauses it, or lets it go on. */
export function holdLive(isHeld: boolean): void {
  held.value = isHeld;
  if (isWanted) followVisibility();
}

function followVisibility(): void {
  if (document.hidden || held.value) {
    disconnect('paused');
  } else if (source === null) {
    attempt = 0;
    connect();
  }
}

function connect(): void {
  disconnect('connecting');
  const opened = new EventSource(LIVE_URL);
  source = opened;
  opened.onopen = () => {
    attempt = 0;
    state.value = 'open';
    watchSilence();
    // Another configuration may have come into force meanwhile; which, those who show one ask.
    if (hasMissed) for (const listener of listeners.config) listener({ version: '' });
    hasMissed = true;
  };
  // EventSource would try again by itself, without growing pauses, and never after an answer like 502.
  opened.onerror = waitAndRetry;
  for (const name of NAMES) opened.addEventListener(name, (event) => receive(name, event.data as string));
  watchSilence();
}

function receive(name: (typeof NAMES)[number], data: string): void {
  heardAtMs = Date.now();
  if (name === 'request') enqueue(JSON.parse(data) as RequestRow);
  else tell(name, JSON.parse(data) as Events[typeof name]);
}

function tell<N extends Name>(name: N, event: Events[N]): void {
  for (const listener of listeners[name]) listener(event);
}

/** Rows are told in pieces: each piece is one change of what is shown, however many rows it has. */
function enqueue(row: RequestRow): void {
  queue.push(row);
  if (queue.length >= MOST_QUEUED) showQueue();
  else queueTimer ??= setTimeout(showQueue, Math.max(0, mayShowAtMs - Date.now()));
}

function showQueue(): void {
  clearTimeout(queueTimer);
  queueTimer = undefined;
  if (queue.length === 0) return;
  const rows = queue;
  queue = [];
  mayShowAtMs = Date.now() + paceMs(rows.length);
  tell('requests', rows);
  for (const row of rows) tell('request', row);
}

function watchSilence(): void {
  clearTimeout(silenceTimer);
  heardAtMs = Date.now();
  const look = (): void => {
    const silentMs = Date.now() - heardAtMs;
    if (silentMs >= SILENCE_MS) waitAndRetry();
    else silenceTimer = setTimeout(look, SILENCE_MS - silentMs);
  };
  silenceTimer = setTimeout(look, SILENCE_MS);
}

function waitAndRetry(): void {
  const pause = backoffMs(attempt);
  attempt += 1;
  disconnect('waiting');
  retryAtMs.value = Date.now() + pause;
  retryTimer = setTimeout(connect, pause);
}

function disconnect(next: LiveState): void {
  showQueue();
  clearTimeout(retryTimer);
  clearTimeout(silenceTimer);
  source?.close();
  source = null;
  retryAtMs.value = null;
  state.value = next;
}
