/** Settings that are better written than typed into one line. */

export function isLongText(key: string): boolean {
  return key === 'gateway.system_prompt.replacement';
}
