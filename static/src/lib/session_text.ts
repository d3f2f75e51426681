/** A session's id as lists show it: the beginning of a UUID, or of whatever else clients send. */

const SHORT = 8;
const LONG = 20;

export function shortSession(id: string): string {
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(id)) return id.slice(0, SHORT);
  return id.length > LONG ? `${id.slice(0, LONG - 1)}…` : id;
}
