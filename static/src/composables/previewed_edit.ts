/** An edit of the overlay by a form: shown in the usual preview before it counts. */

import { ref } from 'vue';

import type { Config } from '@/api/types';

import { useConfigDraft } from './config_draft';
import { useErrorText } from './error_text';
import { showToast } from './toast';

/** `done` is called when the edit is in force. */
export function usePreviewedEdit(done: () => void) {
  const errorText = useErrorText();
  const draft = useConfigDraft();
  const isPreviewing = ref(false);

  /** Shows what `edit` makes of the overlay; nothing happens while the configuration is not there yet. */
  function preview(edit: (base: Config) => string): void {
    if (!draft.base.value) return;
    try {
      draft.edit({ overlay: edit(draft.base.value) });
      isPreviewing.value = true;
    } catch (error) {
      showToast('bad', errorText(error));
    }
  }
  function back(): void {
    isPreviewing.value = false;
    draft.discard();
  }
  async function apply(): Promise<void> {
    try {
      if (await draft.save()) done();
    } catch (error) {
      showToast('bad', errorText(error));
    }
  }
  return { draft, isPreviewing, preview, back, apply };
}

export type PreviewedEdit = ReturnType<typeof usePreviewedEdit>;
