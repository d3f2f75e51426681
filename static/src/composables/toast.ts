/** Short messages at the edge of the page. */

import { readonly, ref } from 'vue';

export type ToastKind = 'ok' | 'bad';
export interface Toast {
  id: number;
  kind: ToastKind;
  text: string;
}

const SHOWN_MS: Record<ToastKind, number> = { ok: 3500, bad: 8000 };
const all = ref<Toast[]>([]);
let nextId = 1;

export const toasts = readonly(all);

export function dismissToast(id: number): void {
  all.value = all.value.filter((toast) => toast.id !== id);
}

export function showToast(kind: ToastKind, text: string): void {
  const id = nextId++;
  all.value = [...all.value.slice(-2), { id, kind, text }];
  setTimeout(() => {
    dismissToast(id);
  }, SHOWN_MS[kind]);
}
