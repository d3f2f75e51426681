/** Something that is asked of the API: what came last, what went wrong, and whether an answer is awaited. */

import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue';

import { ApiError, NO_CALL } from '@/api/api';

import { gatewayReturns } from './gateway_down';

export interface Resource<T> {
  data: ShallowRef<T | null>;
  error: ShallowRef<ApiError | null>;
  isLoading: Ref<boolean>;
  /** Asks anew. An answer that is still awaited is given up. */
  load: () => Promise<void>;
  /** Gives up an answer that is still awaited. */
  stop: () => void;
}

/** The data stay while they are asked for anew, and when that fails. */
export function useResource<T>(ask: (signal: AbortSignal) => Promise<T>): Resource<T> {
  const data = shallowRef<T | null>(null);
  const error = shallowRef<ApiError | null>(null);
  const isLoading = ref(false);
  let abort: AbortController | null = null;

  async function load(): Promise<void> {
    abort?.abort();
    const mine = new AbortController();
    abort = mine;
    isLoading.value = true;
    try {
      const answer = await ask(mine.signal);
      if (mine.signal.aborted) return;
      data.value = answer;
      error.value = null;
    } catch (caught) {
      if (mine.signal.aborted) return;
      error.value = caught instanceof ApiError ? caught : new ApiError(NO_CALL, String(caught));
    } finally {
      if (abort === mine) isLoading.value = false;
    }
  }

  function stop(): void {
    abort?.abort();
    abort = null;
    isLoading.value = false;
  }

  onScopeDispose(stop);
  // What failed while the gateway was gone is asked for when it is back.
  watch(gatewayReturns, () => {
    if (error.value !== null) void load();
  });
  return { data, error, isLoading, load, stop };
}

/** Calls again and again while the page can be seen. */
export function useRefresh(refresh: () => void, everyMs: () => number): void {
  let timer: ReturnType<typeof setTimeout>;
  const next = (): void => {
    timer = setTimeout(() => {
      if (!document.hidden) refresh();
      next();
    }, everyMs());
  };
  next();
  onScopeDispose(() => {
    clearTimeout(timer);
  });
}
