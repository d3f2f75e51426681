/**
 * Elements of a list that are used again: what is shown anew takes the element of what is shown no longer, and what stays keeps
 * its own. Pure.
 */

/** The element of each key, given those that the keys had before; `kept` is one that nobody else gets, as long as its key is gone. */
export function assignSlots(before: ReadonlyMap<string, number>, keys: readonly string[], kept: number | null = null): Map<string, number> {
  const stay = new Set(keys);
  const free = [...before].filter(([key, slot]) => !stay.has(key) && slot !== kept).map(([, slot]) => slot).reverse();
  let next = Math.max(-1, kept ?? -1, ...before.values()) + 1;
  return new Map(keys.map((key) => [key, before.get(key) ?? free.pop() ?? next++]));
}
