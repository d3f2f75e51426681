/** Fingerprints of keys: rows that older versions wrote have the first half only. */

const SHORT = 8;

/** As people are shown one; the whole is behind it. */
export function shortKey(fingerprint: string): string {
  return fingerprint.slice(0, SHORT);
}

/** What an upstream's key is called, which has a name or goes by its whole fingerprint. */
export function keyLabel(label: string): string {
  return /^[0-9a-f]{16}$/.test(label) ? shortKey(label) : label;
}

/** Whether a filter, which may be the beginning of a fingerprint, finds a row with this one. */
export function isKey(fingerprint: string | null, wanted: string): boolean {
  if (fingerprint === null) return false;
  const text = wanted.toLowerCase();
  return fingerprint.startsWith(text) || (text.length > SHORT && fingerprint === shortKey(text));
}

const FEWEST_DIGITS = 8;

/** What a key is called: the name of the longest beginning that fits, as the gateway finds it. */
export function nameOfKey(names: Readonly<Record<string, string>>, fingerprint: string): string | null {
  for (let end = fingerprint.length; end >= FEWEST_DIGITS; end -= 1) {
    const name = names[fingerprint.slice(0, end)];
    if (name !== undefined) return name;
  }
  // A row of an earlier version has the first half only: it is called after the only key that it can be of.
  const longer = Object.keys(names).filter((known) => fingerprint.length >= FEWEST_DIGITS && known.startsWith(fingerprint));
  return longer.length === 1 ? (names[longer[0] ?? ''] ?? null) : null;
}
