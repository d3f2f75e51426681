/** What a setting's row shows, given what the overlay said when the edit began (`saved`) and says now (`edited`). */

import type { Setting, SettingSource } from '@/api/types';

export interface Edited {
  saved: string | null;
  edited: string | null;
}

/** What will be in force with this edit, as far as the panel can know. */
export function valueShown(setting: Pick<Setting, 'value' | 'default' | 'is_locked'>, { saved, edited }: Edited): string {
  // What fixes it counts before the overlay, whatever that says.
  if (setting.is_locked) return setting.value;
  if (edited !== null) return edited;
  // Without the overlay's word the file's or the default counts; which, only the gateway knows.
  return saved === null ? setting.value : setting.default;
}

/** Who says so. */
export function sourceShown(setting: Pick<Setting, 'source' | 'is_locked'>, { saved, edited }: Edited): SettingSource {
  if (setting.is_locked || saved === edited) return setting.source;
  return edited === null ? 'default' : 'panel';
}
