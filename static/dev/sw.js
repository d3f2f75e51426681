// Keeps the panel's shell: the page that all begin with, and the files of this build, whose names hold their hash. Nothing else:
// what is kept is the same for everybody, and no answer of the API is ever looked at. Without the gateway the shell opens from
// here, and says that the gateway does not answer.

/** Written by the build (service_worker.ts). */
const FILES = [];
const SCOPE = '/admin/';
const CACHES = 'shell-';
/** What a reverse proxy says of a gateway that is gone. */
const GONE = [502, 503, 504];

/** A name that another build does not have. */
async function cacheName() {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(FILES.join()));
  return CACHES + [...new Uint8Array(hash).slice(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The page, if it is that of this build: during an upgrade another one may answer. */
async function ownPage() {
  const answer = await fetch(SCOPE, { cache: 'no-cache' });
  const text = await answer.clone().text();
  const named = [...text.matchAll(/\/admin\/(assets\/[^"]+)/g)].map(([, name]) => name);
  if (!answer.ok || named.length === 0 || !named.every((name) => FILES.includes(name))) throw new Error('This is the page of another build.');
  return answer;
}

async function keep() {
  const page = await ownPage();
  const cache = await caches.open(await cacheName());
  await cache.addAll(FILES.map((name) => SCOPE + name));
  await cache.put(SCOPE, page);
}

/** Older builds go, but for the last one: a tab that is open may still ask for its files. */
async function tidy() {
  const own = await cacheName();
  const older = (await caches.keys()).filter((name) => name !== own && name.startsWith(CACHES));
  const others = (await caches.keys()).filter((name) => !name.startsWith(CACHES));
  await Promise.all([...older.slice(0, -1), ...others].map((name) => caches.delete(name)));
}

self.addEventListener('install', (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener('activate', (event) => event.waitUntil(tidy().then(() => self.clients.claim())));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin || !url.pathname.startsWith(SCOPE)) return;
  if (request.mode === 'navigate') event.respondWith(pageOrShell(request));
  else if (url.pathname.startsWith(`${SCOPE}assets/`)) event.respondWith(fileOrNetwork(request));
});

async function pageOrShell(request) {
  const shell = async () => (await caches.open(await cacheName())).match(SCOPE);
  try {
    const answer = await fetch(request);
    return (GONE.includes(answer.status) && (await shell())) || answer;
  } catch (error) {
    const kept = await shell();
    if (kept) return kept;
    throw error;
  }
}

async function fileOrNetwork(request) {
  // What is named by its content is the same in each of the caches.
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}
