/** What an upstream did, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import type { Fault } from '@/api/types';

import { useFormat } from './format';

export function useFaultText(): (fault: Fault) => string {
  const { t } = useI18n();
  const format = useFormat();
  return ({ code, parameters = {}, what }) => {
    // Rows of older versions have English words only.
    if (code === undefined) return what;
    const { within_ms: ms, fault, said, has_credentials: had, status } = parameters;
    const named = { ...parameters, said: said ?? '', within: format.duration(ms ?? null) };
    if (code === 'tls') return t('fault.tls', { why: t(`tlsFault.${fault ?? 'unknown'}`, named) });
    if (code !== 'proxy_answer') return t(`fault.${code}`, named);
    const why = had === true ? 'refused' : had === false ? 'wanted' : 'other';
    return t('fault.proxy_answer', { ...named, why: t(`proxyAnswer.${why}`, { status }) });
  };
}
