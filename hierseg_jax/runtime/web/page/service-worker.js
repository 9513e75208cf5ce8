// Keeps what the page has loaded, and serves all of it with the headers that threads need.
// What has its digest in its address (?v=) never changes and comes from here first; the few small
// files come from the network where there is one, so that a new site is seen at once.

const SMALL = [
  "./",
  "averaging.js",
  "brightening.js",
  "float-scores.js",
  "geometry.js",
  "guided.js",
  "icon.svg",
  "labels.js",
  "legend.js",
  "model.json",
  "motion.js",
  "network.js",
  "offline.js",
  "page.js",
  "painting.js",
  "sampling.js",
  "site.json",
  "smoothing.js",
  "source.js",
  "style.css",
  "worker.js",
];
const kept = () => caches.open(`hierseg ${self.registration.scope}`);

self.addEventListener("install", (event) => {
  const load = async () => (await kept()).addAll(SMALL.map((url) => new Request(url, { cache: "reload" })));
  event.waitUntil(load().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith("http")) return;
  const fixed = new URL(request.url).searchParams.has("v");
  event.respondWith((fixed ? keptFirst : networkFirst)(request).then(isolated));
});

async function keptFirst(request) {
  const cache = await kept();
  const found = await cache.match(request);
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) {
    for (const old of await cache.keys(request, { ignoreSearch: true })) await cache.delete(old);
    await keep(cache, request, response);
  }
  return response;
}

async function networkFirst(request) {
  const cache = await kept();
  try {
    const response = await fetch(request);
    if (response.ok) await keep(cache, request, response);
    return response;
  } catch (error) {
    const found = await cache.match(request, { ignoreSearch: true });
    if (found) return found;
    throw error;
  }
}

/** Where there is no room for it, the page works all the same. */
async function keep(cache, request, response) {
  try {
    await cache.put(request, response.clone());
  } catch (error) {
    console.warn(`${request.url} is not kept for use offline (${error.message}).`);
  }
}

function isolated(response) {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "cross-origin");
  const { body, status, statusText } = response;
  return new Response(body, { status, statusText, headers });
}
