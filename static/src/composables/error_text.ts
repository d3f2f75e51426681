/** What went wrong with a call of the API, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import { ApiError } from '@/api/api';

import { faultWords } from '@/i18n';
import { fill } from '@/lib/gateway_words';
import { OverlayFault } from '@/lib/overlay_fault';

import { useProblemText } from './problem_text';

// Of errors without a code only the gateway's own words say what is wrong.
const WITH_DETAIL: readonly number[] = [400, 404, 500, 503];
const STATUSES = [400, 401, 403, 404, 409, 413, 415, 429, 500, 503] as const;

export function useErrorText(): (error: unknown) => string {
  const { t, locale } = useI18n();
  const problemText = useProblemText();
  return (error) => {
    const said = error instanceof Error ? error.message : String(error);
    if (error instanceof OverlayFault) return t(`overlayFault.${error.code}`, { detail: error.detail });
    if (!(error instanceof ApiError)) return t('apiError.other', { said });
    if (error.status === 0) return t('apiError.offline');
    const [problem] = error.problems;
    if (problem) return problemText.at(problem);
    const template = faultWords.value[error.code];
    // What is told in words of its own has these in the panel's language in the message alone.
    if (template?.includes('{said}')) return said;
    if (template !== undefined) return t('apiError.coded', { what: fill(template, error.parameters, (name) => name) });
    // In English the gateway's own words say more than the status does.
    const status = STATUSES.find((known) => known === error.status);
    if (locale.value === 'en' || status === undefined) return t('apiError.other', { said });
    const what = t(`apiError.${status}`);
    return WITH_DETAIL.includes(status) ? t('apiError.detailed', { what, said }) : what;
  };
}
