/** Whether the gateway answers at all, and what is to be done when it does again. */

import { readonly, ref, watch } from 'vue';
import type { Router } from 'vue-router';

import { ApiError } from '@/api/api';
import { liveState, retryLive, startLive } from '@/api/live';
import { backoffMs } from '@/lib/backoff';

import { isSignedIn, loadSession, mayRead, session } from './session';

/** What a reverse proxy says of a gateway that is gone. */
const GONE: readonly number[] = [0, 502, 503, 504];

const isDown = ref(false);
const returns = ref(0);
let attempt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export const gatewayIsDown = readonly(isDown);
/** Grows each time that the gateway is back: what is shown is asked for anew. */
export const gatewayReturns = readonly(returns);

/** Asks whether the gateway answers; while it does not, again after growing pauses. */
export async function lookForGateway(): Promise<void> {
  clearTimeout(timer);
  try {
    await loadSession();
  } catch (error) {
    if (!(error instanceof ApiError) || !GONE.includes(error.status)) return;
    isDown.value = true;
    timer = setTimeout(() => void lookForGateway(), backoffMs(attempt));
    attempt += 1;
    return;
  }
  attempt = 0;
  if (!isDown.value) return;
  isDown.value = false;
  returns.value += 1;
  retryLive();
}

/** Begins to watch: the first question of a page, the live connection and files that do not come tell that there is no answer. */
export function watchGateway(router: Router): void {
  const look = async (): Promise<void> => {
    await lookForGateway();
    if (session.value === null || isDown.value) return;
    const { fullPath, meta } = router.currentRoute.value;
    if (mayRead.value) startLive();
    else if (!isSignedIn.value && meta['isOpen'] !== true) void router.push({ name: 'login', query: { to: fullPath } });
  };
  router.afterEach(() => {
    if (session.value === null && !isDown.value) void look();
  });
  watch(liveState, (state) => {
    if (state === 'waiting' && !isDown.value) void look();
  });
  watch(returns, look);
  router.onError(async (_, to) => {
    await look();
    // The files of a page are gone with the version that had them: the new one has others.
    if (!isDown.value && isFirstReload()) window.location.assign(router.resolve(to.fullPath).href);
  });
}

/** Not again and again, if it does not help. */
function isFirstReload(): boolean {
  const MARK = 'panel.reloaded';
  const isFirst = Date.now() - Number(sessionStorage.getItem(MARK) ?? 0) > 30_000;
  sessionStorage.setItem(MARK, String(Date.now()));
  return isFirst;
}
