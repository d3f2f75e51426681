/** The words that a dry run uses for what a rule did, or why it did nothing: keys of the panel's own texts for them. */

const CHANGES = ['replaced', 'prepended', 'appended', 'inserted', 'listed', 'removed', 'mapped', 'set', 'compacted'] as const;

const REASONS = {
  'it is so already': 'same',
  'the path leads to no place in this body': 'noPlace',
  'it is not there': 'absent',
  'it is there already': 'present',
  'the body is not a JSON object': 'notAnObject',
  'the body has no `system`': 'noSystem',
  '`system` is not a list': 'notAList',
  '`system` is empty': 'empty',
  'the block of `system` has no text': 'noText',
  '`system` has no such block': 'noBlock',
  'the body names no model': 'noModel',
  'no name is given for this model': 'noName',
} as const;

export type ResultKey = (typeof CHANGES)[number] | (typeof REASONS)[keyof typeof REASONS];

/** The text for one of the gateway's words; `null` for one that the panel does not know. */
export function resultKey(word: string): ResultKey | null {
  const change = CHANGES.find((known) => known === word);
  return change ?? (REASONS as Record<string, ResultKey | undefined>)[word] ?? null;
}

export function isChange(word: string): boolean {
  return CHANGES.some((known) => known === word);
}

export interface Condition {
  what: 'method' | 'path' | 'header' | 'query' | 'client' | 'upstream' | 'model';
  name: string;
  values: string[];
}

/** A condition in its parts; `null` for one of another form, which is shown as it came. */
export function conditionOf(text: string): Condition | null {
  const match = /^(?:(method|path|upstream|model) is|(header|query) (\S+) is|(client) is in) (.+)$/.exec(text);
  if (!match) return null;
  const [, plain, named, name = '', client, values = ''] = match;
  // Texts are in quotation marks, and may hold any word.
  return { what: (plain ?? named ?? client) as Condition['what'], name, values: values.split(/ or (?=(?:[^"]*"[^"]*")*[^"]*$)/) };
}
