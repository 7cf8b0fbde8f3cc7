// One tab holds the camera: two would send the same product twice.

const NAME = "edgevision.camera";

/**
 * Waits for its turn, then calls `onHeld()`; `onTaken()` when another tab takes over, `onWaiting()` while another has it.
 * Returns a function that takes over. Without Web Locks (a page that is not secure has none, nor a camera) this tab has it at once.
 */
export function holdCamera({ onHeld, onTaken, onWaiting }) {
  if (!navigator.locks) {
    onHeld();
    return () => {};
  }
  const ask = async (options) => {
    try {
      await navigator.locks.request(NAME, options, async (lock) => {
        if (lock === null) {
          onWaiting();
          ask({}); // in line: it is ours as soon as the other tab closes
          return undefined;
        }
        onHeld();
        return new Promise(() => {}); // for as long as this tab lives
      });
    } catch (error) {
      if (error.name === "AbortError") {
        onTaken();
        ask({});
      }
    }
  };
  ask({ ifAvailable: true });
  return () => ask({ steal: true });
}
