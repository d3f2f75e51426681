/** Sessions and requests that have a text in their ids: the gateway is asked when somebody has stopped typing, and for few. */

import { computed, onScopeDispose, watch, type ComputedRef, type Ref } from 'vue';
import { useRouter } from 'vue-router';

import { api, ApiError } from '@/api/api';
import type { RequestRow } from '@/api/types';
import { useFormat } from '@/composables/format';
import { useResource } from '@/composables/resource';
import { mayRead } from '@/composables/session';
import { useLanguage } from '@/i18n';
import { isWholeRequestId, partOfId, partOfRequestId } from '@/lib/palette';

import type { PaletteEntry } from './entries';

const PAUSE_MS = 250;
const MOST = 5;
const DAY_MS = 86_400_000;
/** Sessions of a month, requests of a day: looking through more takes too long for something to be typed ahead. */
const SESSIONS_MS = 30 * DAY_MS;

export function useIds(query: Ref<string>): { entries: ComputedRef<PaletteEntry[]>; isLooking: Ref<boolean> } {
  const { t } = useLanguage();
  const format = useFormat();
  const router = useRouter();

  async function requestsOf(text: string, signal: AbortSignal): Promise<readonly RequestRow[]> {
    const part = partOfRequestId(text);
    if (part === null) return [];
    if (!isWholeRequestId(part)) return (await api.requests({ q: part, from: Date.now() - DAY_MS, limit: MOST }, signal)).requests.filter(({ id }) => id.includes(part));
    try {
      const found = await api.request(part, signal);
      return 'id' in found ? [found] : [];
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  }
  const found = useResource(async (signal) => {
    const text = partOfId(query.value);
    if (text === null) return null;
    const [sessions, requests] = await Promise.all([api.sessions({ q: text, from: Date.now() - SESSIONS_MS, limit: MOST }, signal), requestsOf(text, signal)]);
    return { text, sessions: sessions.sessions, requests };
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  watch(query, (text) => {
    clearTimeout(timer);
    found.stop();
    if (partOfId(text) === null || !mayRead.value) return;
    found.isLoading.value = true;
    timer = setTimeout(() => void found.load(), PAUSE_MS);
  });
  onScopeDispose(() => { clearTimeout(timer); });

  const entries = computed(() => {
    const known = found.data.value;
    // What was found for another text is no answer.
    if (known === null || known.text !== partOfId(query.value)) return [];
    const sessions = known.sessions.map(({ session, last_at_ms: lastMs, requests }): PaletteEntry => ({
      id: `session ${session}`, kind: 'session', title: session, words: '', icon: 'sessions', run: () => router.push({ name: 'session', params: { id: session } }),
      note: `${t('sessions.requestsShort', { count: format.number(requests) }, requests)} · ${format.ago(lastMs)}`,
    }));
    const requests = known.requests.map(({ id, model, model_asked: asked, path, started_at_ms: startedMs }): PaletteEntry => ({
      id: `request ${id}`, kind: 'request', title: id, words: '', icon: 'requests', run: () => router.push({ name: 'requests', query: { id } }),
      note: `${model ?? asked ?? path} · ${format.ago(startedMs)}`,
    }));
    return [...sessions, ...requests];
  });
  return { entries, isLooking: found.isLoading };
}
