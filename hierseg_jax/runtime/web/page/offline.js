// Without a network once loaded, and with threads: both are the service worker's.

/**
 * Waits until the page is under the service worker, and isolated where that can be.
 * @returns {Promise<boolean>} false where the page loads again at once.
 */
export async function settle() {
  if (!navigator.serviceWorker) return true; // no HTTPS, or a browser that has none
  const registered = navigator.serviceWorker.register("service-worker.js").catch((error) => {
    console.warn(`Nothing new will be kept for use offline (${error.message}).`);
  });
  // Without a network it may never be registered anew, which it need not be.
  if (!navigator.serviceWorker.controller) {
    await Promise.race([registered.then((found) => found && controlled()), seconds(5)]);
  }
  // Its answers bring the headers that threads need, and this page came without.
  if (crossOriginIsolated || !navigator.serviceWorker.controller) return true;
  if (sessionStorage.getItem("isolated")) return true;
  sessionStorage.setItem("isolated", "tried");
  location.reload();
  return false;
}

function controlled() {
  if (navigator.serviceWorker.controller) return Promise.resolve();
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
}

function seconds(count) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * count));
}
