/** What is wrong with a configuration, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import type { ConfigProblem } from '@/api/types';
import { problemWords } from '@/i18n';
import { fill } from '@/lib/gateway_words';

/** A problem with its place, without it, and without the key of the setting. */
export interface ProblemText {
  at: (problem: ConfigProblem) => string;
  whole: (problem: ConfigProblem) => string;
  what: (problem: ConfigProblem) => string;
}

export function useProblemText(): ProblemText {
  const { t } = useI18n();
  const near = (name: string): string => t('config.near', { name });
  const what = ({ code, parameters, message }: ConfigProblem): string => {
    const template = problemWords.value[code];
    return template === undefined ? message : fill(template, parameters, near);
  };
  const whole = (problem: ConfigProblem): string => {
    const text = what(problem);
    return problem.key === null || problemWords.value[problem.code] === undefined ? text : `${problem.key}: ${text}`;
  };
  const place = (where: string): string => (where === 'overlay' ? t('config.overlay') : where === 'headers' ? t('config.headersFile') : where);
  const at = (problem: ConfigProblem): string => {
    const [where, message] = [place(problem.where), whole(problem)];
    return problem.line === null ? t('config.problemIn', { where, message }) : t('config.problemAt', { where, line: problem.line, message });
  };
  return { at, whole, what };
}
