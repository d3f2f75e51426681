/** What a failure is told with: the upstream's own words, else those of the panel for what happened. */

import { useI18n } from 'vue-i18n';

import type { FailedUpstream } from '@/api/types';

import { useFaultText } from './fault_text';

export interface Failure {
  fault: FailedUpstream | null;
  reason: string;
  error_type: string | null;
  message: string | null;
}

export function useFailureText(): (failure: Failure) => string {
  const { t, te } = useI18n();
  const faultText = useFaultText();
  return ({ fault, reason, error_type: type, message }) => {
    const said = message ?? '';
    // An error that has a type came from the upstream, as did all without a reason of the gateway's.
    if (said !== '' && (type !== null || reason === '')) return said;
    if (fault) return t('errors.ofUpstream', { upstream: fault.upstream, what: faultText(fault) });
    // Rows from before there were codes have the gateway's words alone.
    if (said !== '') return said;
    if (reason === '') return '–';
    // What is no single word is a sentence already.
    if (!/^\w+$/.test(reason)) return reason;
    return te(`reason.${reason}`) ? t(`reason.${reason}`) : t('errors.reason', { reason });
  };
}
