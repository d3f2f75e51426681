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
