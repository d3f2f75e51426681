/** Rules that are off come last from the gateway; here they stand where they would apply. */

import type { Rule } from '@/api/types';

/** `order` has the names in the order of the profile's and of the operator's lists; a rule that it has not stays behind. */
export function inPlace(rules: readonly Rule[], order: readonly string[]): Rule[] {
  const result = rules.filter((rule) => rule.is_enabled || !order.includes(rule.name));
  const inOrder = (a: Rule, b: Rule): number => order.indexOf(a.name) - order.indexOf(b.name);
  for (const rule of rules.filter((one) => !one.is_enabled && order.includes(one.name)).sort(inOrder)) {
    const place = order.indexOf(rule.name);
    const before = result.findLastIndex((other) => other.source === rule.source && order.indexOf(other.name) >= 0 && order.indexOf(other.name) < place);
    const after = result.findIndex((other) => other.source === rule.source && order.indexOf(other.name) > place);
    const others = result.findIndex((other) => (rule.source === 'profile' ? other.source === 'operator' || other.source === 'headers-file' : other.source === 'headers-file'));
    const at = before >= 0 ? before + 1 : after >= 0 ? after : others >= 0 ? others : result.length;
    result.splice(at, 0, rule);
  }
  return result;
}
