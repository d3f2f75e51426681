/** The tools that a response was to use, those that it used most first: "Bash ×3, Read". Empty if none is known. */
export function toolsText(tools: Record<string, number> | null): string {
  const sorted = Object.entries(tools ?? {}).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted.map(([name, uses]) => (uses === 1 ? name : `${name} ×${uses}`)).join(', ');
}
