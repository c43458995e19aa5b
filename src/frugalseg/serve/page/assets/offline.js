/** The page without a network connection: see `sw.js`, which keeps what it needs. */

/**
 * Keep files for when there is no connection. Without HTTPS (or localhost) browsers do not.
 *
 * @param {string[]} addresses
 */
export function keepForOffline(addresses) {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("sw.js").catch(() => undefined); // private windows have none
  void navigator.serviceWorker.ready.then(({ active }) => active?.postMessage({ keep: addresses }));
}
