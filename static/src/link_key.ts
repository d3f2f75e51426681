/** The key of a link that logs in, `#key=...`. It is taken out of the address before the router looks at it. */

const PREFIX = '#key=';

let taken: string | null = null;
let arrived: () => void = () => undefined;

/** The key in a fragment, if there is one. */
export function keyIn(hash: string): string | null {
  if (!hash.startsWith(PREFIX)) return null;
  const text = hash.slice(PREFIX.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function take(): void {
  const key = keyIn(window.location.hash);
  if (key === null) return;
  window.history.replaceState(window.history.state, '', window.location.pathname + window.location.search);
  taken = key;
  arrived();
}

/**
 * Begins to look, at once and whenever a link is pasted into the open panel, which changes the fragment alone. To be called
 * before the router listens.
 */
export function watchAddress(): void {
  take();
  window.addEventListener('popstate', take);
  window.addEventListener('hashchange', take);
}

/** The key that came, once. */
export function takeLinkKey(): string | null {
  const key = taken;
  taken = null;
  return key;
}

/** What is to happen when a key comes while the panel is open. */
export function onLinkKey(action: () => void): void {
  arrived = action;
}
