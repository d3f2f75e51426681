/** Who the viewer is to the gateway: what may be read and written. The key itself is never kept here. */

import { computed, readonly, ref } from 'vue';

import { api, ApiError } from '@/api/api';
import type { Session } from '@/api/types';

const current = ref<Session | null>(null);
const failure = ref<ApiError | null>(null);

export const session = readonly(current);
/** Why the last link did not log in, for the login page. */
export const linkFailure = readonly(failure);
export const mayRead = computed(() => current.value?.may_read === true);
/** Whether somebody is logged in, be it a member. */
export const isSignedIn = computed(() => (current.value?.role ?? null) !== null || mayRead.value);
/** Whether it is somebody who sees what is the own, and nothing else. */
export const isMember = computed(() => current.value?.role === 'member');
/** Whether the viewer came with a client token, of which there is something to show. */
export const hasToken = computed(() => isMember.value || current.value?.role === 'admin');
export const mayWrite = computed(() => current.value?.may_write === true);

export async function loadSession(): Promise<Session> {
  current.value = await api.session();
  return current.value;
}

export async function signIn(key: string): Promise<void> {
  await api.signIn(key);
  await loadSession();
}

/** Signs in with the key of a link. Without success the login page says why. */
export async function signInByLink(key: string): Promise<void> {
  failure.value = null;
  try {
    await signIn(key);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failure.value = error;
    await loadSession().catch(() => undefined);
  }
}

export async function signOut(): Promise<void> {
  await api.signOut();
  await loadSession();
}
