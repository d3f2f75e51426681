/** Fingerprints of keys: rows that older versions wrote have the first half only. */

const SHORT = 8;

/** As people are shown one; the whole is behind it. */
export function shortKey(fingerprint: string): string {
  return fingerprint.slice(0, SHORT);
}

/** Whether a filter, which may be the beginning of a fingerprint, finds a row with this one. */
export function isKey(fingerprint: string | null, wanted: string): boolean {
  if (fingerprint === null) return false;
  const text = wanted.toLowerCase();
  return fingerprint.startsWith(text) || (text.length > SHORT && fingerprint === shortKey(text));
}
