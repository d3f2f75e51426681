/** What an upstream did, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import type { Fault } from '@/api/types';

import { useFormat } from './format';

/** The name that does not resolve, as it stands in the text; nothing if it is that of base_url. */
function resolvedName(locale: string, host?: string): string {
  if (!host) return '';
  return locale.startsWith('zh') ? ` ${host} ` : `${host} `;
}

export function useFaultText(): (fault: Fault) => string {
  const { t, locale } = useI18n();
  const format = useFormat();
  return ({ code, parameters = {}, what }) => {
    // Rows of older versions have English words only.
    if (code === undefined) return what;
    const { within_ms: ms, fault, said, has_credentials: had, status, host, absent_ms: absent } = parameters;
    const named = { ...parameters, said: said ?? '', within: format.duration(ms ?? null) };
    if (code === 'resolve') return t(absent === undefined ? 'fault.resolve' : 'resolveFault.absent', { said, name: resolvedName(locale.value, host) });
    if (code === 'tls') return t('fault.tls', { why: t(`tlsFault.${fault ?? 'unknown'}`, named) });
    if (code !== 'proxy_answer') return t(`fault.${code}`, named);
    const why = had === true ? 'refused' : had === false ? 'wanted' : 'other';
    return t('fault.proxy_answer', { ...named, why: t(`proxyAnswer.${why}`, { status }) });
  };
}
