// Keeps the files whose names hold their hash, and nothing else: no page, no answer of the API.
const CACHE = 'assets-1';
const MOST_ENTRIES = 80;

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== self.location.origin || !url.pathname.startsWith('/admin/assets/')) return;
  event.respondWith(fromCacheOrNetwork(event.request));
});

async function fromCacheOrNetwork(request) {
  const cache = await caches.open(CACHE);
  const known = await cache.match(request);
  if (known) return known;
  const answer = await fetch(request);
  if (answer.ok) {
    // Files of older versions go, the oldest first.
    const entries = await cache.keys();
    await Promise.all(entries.slice(0, Math.max(0, entries.length - MOST_ENTRIES)).map((entry) => cache.delete(entry)));
    await cache.put(request, answer.clone());
  }
  return answer;
}
