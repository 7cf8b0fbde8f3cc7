// How long to wait before the next try: longer each time, and not all kiosks of a shop at once.
const FIRST_MS = 500;
const LAST_MS = 10_000;

export class Backoff {
  #failures = 0;

  /** Milliseconds until the next try. */
  next() {
    const whole = Math.min(LAST_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return whole * (0.75 + Math.random() / 2);
  }

  /** It works again. */
  reset() {
    this.#failures = 0;
  }
}

/** A pause that `wake()` ends early. */
export class Pause {
  #wake = () => {};

  async wait(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake() {
    this.#wake();
  }
}
