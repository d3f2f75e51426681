/** What the gateway's dry run says of rules, in the language of the panel. */

import { useI18n } from 'vue-i18n';

import type { Condition } from '@/api/types';

type Test = Condition['values'][number][number];

export function useConditionText(): (condition: Condition) => string {
  const { t } = useI18n();
  const testText = (of: Condition, { code, text }: Test): string => {
    if (code === 'present') return t('condition.present');
    // Names that have no blanks need no quotation marks.
    const isName = of.code === 'method' || of.code === 'upstream';
    return isName ? (text ?? '') : t(`condition.${code}`, { text });
  };
  const conditionText = (condition: Condition): string => {
    if (condition.code === 'not') return t('condition.not', { conditions: condition.conditions.map(conditionText).join(t('condition.and')) });
    const values = condition.values.map((tests) => tests.map((test) => testText(condition, test)).join(t('condition.and'))).join(t('condition.or'));
    return t(`condition.${condition.code}`, { name: condition.name ?? '', values });
  };
  return conditionText;
}
