/**
 * The page without a connection. What was fetched is kept; the network comes first, and what was
 * kept steps in where it fails. What is asked of the server (POST) is never kept.
 */

const CACHE = "frugalseg-2";

const KEPT = [
  "./", "index.html", "assets/app.js", "assets/app.webmanifest", "assets/browser.js", "assets/build.js",
  "assets/camera.js", "assets/engine.js", "assets/gallery.js", "assets/icon.svg", "assets/intake.js",
  "assets/legend.js", "assets/offline.js", "assets/page.js", "assets/picture.js", "assets/pixels.js",
  "assets/png.js", "assets/problem.js", "assets/server.js", "assets/session.js", "assets/style.css",
  "assets/theme.js", "assets/types.js", "assets/view.js", "assets/worker.js", "samples/index.json",
];

/** @type {any} */
const lifetime = self;

lifetime.importScripts("assets/build.js"); // which engine: ENGINE

lifetime.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(install());
});

lifetime.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(activate());
});

lifetime.addEventListener("message", (/** @type {any} */ event) => {
  // One by one: what cannot be had without a key, say, must not keep out the others.
  const one = (/** @type {string} */ address) => keep([address]);
  event.waitUntil(Promise.allSettled(event.data.keep.map(one)));
});

lifetime.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const mine = request.url.startsWith(lifetime.registration.scope);
  if (request.method === "GET" && mine) event.respondWith(answer(request));
});

async function install() {
  await keep([...KEPT, ...[".js", ".wasm"].map((end) => `assets/${ENGINE}${end}`)]);
  const cache = await caches.open(CACHE);
  const { samples } = await (await cache.match("samples/index.json"))?.json() ?? { samples: [] };
  await keep(samples.map((/** @type {{ file: string }} */ { file }) => `samples/${file}`));
  await lifetime.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
  await lifetime.clients.claim();
}

/** @param {string[]} addresses */
async function keep(addresses) {
  const cache = await caches.open(CACHE);
  await cache.addAll(addresses.map((address) => new Request(address, { cache: "no-cache" })));
}

/**
 * @param {Request} request
 * @returns {Promise<Response>}
 */
async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (offline) {
    const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    if (kept !== undefined) return kept;
    throw offline;
  }
}
