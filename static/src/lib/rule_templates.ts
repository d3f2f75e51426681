/** Beginnings of rules. A rule of an upstream has its name in `match`. */

export const TEMPLATES = ['header', 'flag', 'query', 'model', 'system', 'respond', 'empty'] as const;
export type TemplateName = (typeof TEMPLATES)[number];

const MESSAGES = { method: 'POST', path: '/v1/messages' };

interface Template {
  name: string;
  match: Readonly<Record<string, string>>;
  does: string;
  /** Before an upstream is chosen: the rule cannot ask for one. */
  isAnswer?: boolean;
}

const OF: Record<TemplateName, Template> = {
  header: { name: 'set-header', match: {}, does: 'headers:\n  set:\n    X-Team: platform\n' },
  flag: { name: 'beta-flag', match: { ...MESSAGES, model: 'claude-sonnet-*' }, does: 'headers:\n  list_add:\n    anthropic-beta: context-1m-2025-08-07\n' },
  query: { name: 'beta-query', match: { path: '/v1/messages' }, does: 'query:\n  set:\n    beta: "true"\n' },
  model: { name: 'map-models', match: MESSAGES, does: 'body:\n  model:\n    "*haiku*": claude-haiku-4-5\n' },
  system: { name: 'house-rules', match: MESSAGES, does: 'body:\n  system:\n    mode: append\n    target: last\n    text: "House rules: British English."\n' },
  respond: { name: 'warm-up', match: { method: 'HEAD', path: '/api/hello' }, does: 'respond:\n  status: 200\n', isAnswer: true },
  empty: { name: 'my-rule', match: MESSAGES, does: 'headers:\n  set:\n    X-Example: value\n' },
};

/** Whether a rule of this kind can be for one upstream alone. */
export function mayAskForUpstream(template: TemplateName): boolean {
  return OF[template].isAnswer !== true;
}

/** A name that none of `taken` has. */
function free(name: string, taken: readonly string[]): string {
  let found = name;
  for (let count = 2; taken.includes(found); count += 1) found = `${name}-${count}`;
  return found;
}

/** The text of such a rule, for one upstream or for all. */
export function templateText(template: TemplateName, upstream: string | null, taken: readonly string[] = []): string {
  const { name, match, does } = OF[template];
  const conditions = { ...(upstream !== null && mayAskForUpstream(template) ? { upstream } : {}), ...match };
  const lines = Object.entries(conditions).map(([key, value]) => `  ${key}: ${/^[\w/.-]+$/.test(value) ? value : JSON.stringify(value)}\n`);
  return `name: ${free(name, taken)}\n${lines.length > 0 ? `match:\n${lines.join('')}` : ''}${does}`;
}
