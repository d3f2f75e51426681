/** Words of the gateway's: templates with places for parameters. */

/** `{{` and `}}` stand for braces; `{near}` for the words of a name that was probably meant, if there is one. */
export function fill(template: string, parameters: Readonly<Record<string, unknown>>, near: (name: string) => string): string {
  return template.replace(/\{\{|\}\}|\{(\w+)\}/g, (whole: string, name: string | undefined) => {
    if (name === undefined) return whole.charAt(0);
    const value = parameters[name];
    if (name === 'near') return typeof value === 'string' ? near(value) : '';
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  });
}
