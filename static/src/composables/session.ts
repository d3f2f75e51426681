/** Who the viewer is to the gateway: what may be read and written. The key itself is never kept here. */

import { computed, readonly, ref } from 'vue';

import { api } from '@/api/api';
import type { Session } from '@/api/types';

const current = ref<Session | null>(null);

export const session = readonly(current);
export const mayRead = computed(() => current.value?.may_read === true);
export const mayWrite = computed(() => current.value?.may_write === true);

export async function loadSession(): Promise<Session> {
  current.value = await api.session();
  return current.value;
}

export async function signIn(key: string): Promise<void> {
  await api.signIn(key);
  await loadSession();
}

export async function signOut(): Promise<void> {
  await api.signOut();
  await loadSession();
}
