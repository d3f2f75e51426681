/** A rule of `failover.errors`, made of an error that came. */

import { isMap } from 'yaml';

import type { ErrorGroup } from '@/api/types';

import { open, ownList, write } from './overlay';

export const ERROR_RULES = ['gateway', 'failover', 'errors'];
export const THEN = ['pass', 'next', 'next_key'] as const;

/** As a form holds it. Empty texts are what is not set. */
export interface ErrorRuleForm {
  name: string;
  status: string;
  type: string;
  message: string;
  upstream: string;
  then: (typeof THEN)[number];
  rest: string;
  disableKey: boolean;
}

/** What differs from one error of a kind to the next: ids, models, numbers. */
const VARYING = /[([]?\b(?:request|trace)[ _-]?id\b[^)\]]*[)\]]?|\bclaude-[\w.-]+|[$¥]?\d[\d.,:]*|\b[0-9a-f]{8,}\b/gi;

/** The longest part of a message that other errors of the kind have too. */
export function commonPart(message: string): string {
  const parts = message.split(VARYING).flatMap((part) => part.split('\n')).map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), '');
}

/** A first draft for this error. */
export function ruleOf(group: Pick<ErrorGroup, 'status' | 'error_type' | 'message' | 'upstream' | 'cause'>): ErrorRuleForm {
  return {
    name: group.cause.replaceAll('_', '-'), status: String(group.status), type: group.error_type ?? '', message: commonPart(group.message ?? ''), upstream: '',
    then: 'next', rest: '', disableKey: false,
  };
}

/** What the rules that there are are called. */
export function errorRuleNames(overlay: string, file: string): string[] {
  return ownList(open(overlay), file, ERROR_RULES, []).items.filter((item) => isMap(item)).map((item) => String(item.get('name')));
}

/** The name, with a number behind it if it is taken. */
export function freeName(name: string, taken: readonly string[]): string {
  let free = name;
  for (let count = 2; taken.includes(free); count += 1) free = `${name}-${count}`;
  return free;
}

/** The overlay with this rule before the others: the first that matches decides. */
export function addErrorRule(overlay: string, file: string, form: ErrorRuleForm): string {
  const document = open(overlay);
  const list = ownList(document, file, ERROR_RULES, []);
  const set = <T>(name: string, value: T, isSet = value !== ''): Record<string, T> => (isSet ? { [name]: value } : {});
  const status = form.status.trim();
  list.flow = false;
  list.items.unshift(document.createNode({
    name: form.name.trim(),
    match: {
      ...set<string | number>('status', /^\d+$/.test(status) ? Number(status) : status), ...set('type', form.type.trim()), ...set('message', form.message.trim()),
      ...set('upstream', form.upstream),
    },
    then: form.then, ...set('rest', form.rest.trim()), ...set('disable_key', true, form.disableKey),
  }));
  return write(document);
}
