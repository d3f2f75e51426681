/** What an upstream did, in the language of the panel. Rows of older versions have English words only. */

import { useI18n } from 'vue-i18n';

import type { Fault } from '@/api/types';

export function useFaultText(): (fault: Fault) => string {
  const { locale } = useI18n();
  return (fault) => (locale.value.startsWith('zh') ? (fault.what_zh ?? fault.what) : fault.what);
}
