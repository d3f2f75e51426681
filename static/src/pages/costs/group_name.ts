/** What a group of costs is called. */

import { useLanguage } from '@/i18n';
import { isOther, type CostDimension } from '@/lib/cost_links';
import { shortKey } from '@/lib/key_text';
import { valueText } from '@/lib/log_columns';
import { shortSession } from '@/lib/session_text';

export function useGroupName(): (by: CostDimension, group: { name: string | null; key_name: string | null }) => string {
  const { t, locale } = useLanguage();
  return (by, { name, key_name: alias }) => {
    if (name === null || name === '') return t('common.without');
    if (isOther(by, name)) return t('common.others');
    if (by === 'key') return alias ?? shortKey(name);
    if (by === 'session') return shortSession(name);
    return by === 'request_class' || by === 'agent_type' ? valueText(by, name, locale.value) : name;
  };
}
