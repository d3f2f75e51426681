/**
 * Edits that are not saved: no link, no closed dialog, no reload and no closed window takes them away without asking.
 *
 *     const { mayLeave } = useUnsaved(() => draft.isDirty.value);
 *     async function close() { if (await mayLeave()) emit('close'); }
 *
 * Links to other pages, reloads and closed windows are asked about by themselves.
 */

import { onScopeDispose, readonly, shallowRef } from 'vue';
import { useRouter } from 'vue-router';

type Test = () => boolean;
type Answer = (isLeft: boolean) => void;

const holders = new Set<Test>();
const pending = shallowRef<Answer | null>(null);

/** Whether the viewer is being asked. */
export const unsavedQuestion = readonly(pending);

/** What the viewer decided. */
export function answerUnsaved(isLeft: boolean): void {
  const answer = pending.value;
  pending.value = null;
  answer?.(isLeft);
}

function isAnyUnsaved(): boolean {
  return [...holders].some((isUnsaved) => isUnsaved());
}

async function ask(isUnsaved: Test): Promise<boolean> {
  if (!isUnsaved()) return true;
  // A second question takes the place of the first, which is thereby answered: stay.
  answerUnsaved(false);
  return new Promise((resolve) => (pending.value = resolve));
}

function warn(event: BeforeUnloadEvent): void {
  if (isAnyUnsaved()) event.preventDefault();
}

/** Whether all that is not saved may be lost: for what ends every page, such as signing out. */
export function mayLeaveAll(): Promise<boolean> {
  return ask(isAnyUnsaved);
}

/** Nothing is asked about any more: its viewer let it go. */
export function forsakeUnsaved(): void {
  holders.clear();
  removeEventListener('beforeunload', warn);
}

/** Guards what `isUnsaved` tells of, as long as the component lives. */
export function useUnsaved(isUnsaved: Test): { mayLeave: () => Promise<boolean> } {
  const removeGuard = useRouter().beforeEach((to, from) => to.path === from.path || !holders.has(isUnsaved) || ask(isUnsaved));
  // Only while there is something to guard: pages with such a listener load anew on "back".
  if (holders.size === 0) addEventListener('beforeunload', warn);
  holders.add(isUnsaved);
  onScopeDispose(() => {
    removeGuard();
    holders.delete(isUnsaved);
    if (holders.size === 0) removeEventListener('beforeunload', warn);
  });
  return { mayLeave: () => ask(isUnsaved) };
}
