/** An edit of the configuration: what is in force, what is to be, and what the gateway thinks of it. */

import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue';

import { api, ApiError } from '@/api/api';
import { onLive } from '@/api/live';
import type { Config, ConfigDraft } from '@/api/types';

import { rebase } from '@/lib/overlay';

import { useResource } from './resource';

const CHECK_PAUSE_MS = 450;

export function useConfigDraft() {
  const config = useResource((signal) => api.config(signal));
  /** The configuration that the edit began with. */
  const base = shallowRef<Config | null>(null);
  const overlay = ref('');
  const headers = ref('');
  const checked = useResource((signal) => api.checkConfig({ overlay: overlay.value, headers: headers.value }, signal));
  const { data: check, error: checkError, isLoading: isChecking } = checked;
  const isSaving = ref(false);
  /** What somebody else put into force during the edit. */
  const conflict = shallowRef<Config | null>(null);

  const isDirty = computed(() => base.value !== null && (overlay.value !== base.value.overlay || headers.value !== base.value.headers));
  /** What came into force during the edit, which goes on until it is applied. */
  const newer = computed(() => (isDirty.value && config.data.value && config.data.value.version !== base.value?.version ? config.data.value : null));
  const problems = computed(() => (isDirty.value ? (check.value?.problems ?? []) : []));

  function begin(from: Config): void {
    base.value = from;
    overlay.value = from.overlay;
    headers.value = from.headers;
    check.value = null;
    conflict.value = null;
  }
  function edit(part: Partial<ConfigDraft>): void {
    overlay.value = part.overlay ?? overlay.value;
    headers.value = part.headers ?? headers.value;
  }
  /** Shows the values of the headers file, which are masked until somebody asks for them. */
  async function showHeaders(): Promise<void> {
    const shown = await api.configWithHeaders();
    if (shown.version !== base.value?.version) return void config.load();
    const isMine = headers.value !== base.value.headers;
    base.value = { ...base.value, headers: shown.headers };
    if (!isMine) headers.value = shown.headers;
  }
  function discard(): void {
    if (base.value) begin(base.value);
  }
  watch(config.data, (fresh) => {
    if (fresh && !isDirty.value) begin(fresh);
  });

  let timer: ReturnType<typeof setTimeout> | undefined;
  watch([overlay, headers], () => {
    clearTimeout(timer);
    checked.stop();
    check.value = null;
    isChecking.value = isDirty.value;
    if (isDirty.value) timer = setTimeout(() => void checked.load(), CHECK_PAUSE_MS);
  });

  /** `true` if it is in force now. A conflict and problems are told by the values above. */
  async function save(): Promise<boolean> {
    if (!base.value) return false;
    isSaving.value = true;
    try {
      const saved = await api.saveConfig(base.value.version, { overlay: overlay.value, headers: headers.value });
      config.data.value = saved;
      begin(saved);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 409) {
        conflict.value = config.data.value = await api.config();
      } else if (error.status === 422) {
        check.value = { problems: [...error.problems], changes: check.value?.changes ?? [], needs_restart: [], warnings: [] };
      } else throw error;
      return false;
    } finally {
      isSaving.value = false;
    }
  }

  /** After a conflict: the own edit, on top of what the others did. */
  function keepMine(): void {
    const [theirs, began] = [conflict.value, base.value];
    if (!theirs || !began) return;
    const isHeadersMine = headers.value !== began.headers;
    conflict.value = null;
    // A text that cannot be read throws here, before anything of theirs could be lost.
    const rebased = rebase(began.overlay, overlay.value, theirs.overlay, began.yaml, theirs.yaml);
    base.value = theirs;
    overlay.value = rebased;
    if (!isHeadersMine) headers.value = theirs.headers;
    void checked.load();
  }
  /** Before it is applied: what others did beside the own edit. */
  function compareNewer(): void {
    conflict.value = newer.value;
  }
  function decideLater(): void {
    conflict.value = null;
  }
  function takeTheirs(): void {
    if (conflict.value) begin(conflict.value);
  }

  onScopeDispose(
    onLive('config', ({ version }) => {
      if (version !== base.value?.version && !isSaving.value) void config.load();
    }),
  );
  onScopeDispose(() => {
    clearTimeout(timer);
  });
  void config.load();

  return {
    config, base, overlay, headers, check, checkError, problems, newer, conflict, isDirty, isChecking, isSaving,
    edit, showHeaders, discard, save, keepMine, takeTheirs, compareNewer, decideLater,
  };
}

export type ConfigDraftState = ReturnType<typeof useConfigDraft>;
