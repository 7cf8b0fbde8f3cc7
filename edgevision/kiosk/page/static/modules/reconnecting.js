// A connection that is opened again whenever it ends, after a pause that grows while it fails.
import { Backoff, Pause } from "./backoff.js";

export class Reconnecting {
  #backoff = new Backoff();
  #pause = new Pause();
  #onConnection;
  stopped = false;

  /** `onConnection(state)`: {open: true} or {open: false, retryMs, error}. */
  constructor(onConnection) {
    this.#onConnection = onConnection;
  }

  /** `once`: opens the connection and uses it until it ends; it calls `opened` and `works`. */
  async run(once) {
    while (!this.stopped) {
      let error = null;
      try {
        await once();
      } catch (caught) {
        error = caught;
      }
      if (!this.stopped) {
        const retryMs = this.#backoff.next();
        this.#onConnection({ open: false, retryMs, error });
        await this.#pause.wait(retryMs);
      }
    }
  }

  /** It is open. */
  opened() {
    this.#onConnection({ open: true });
  }

  /** Something came over it: the next pause is a short one. */
  works() {
    this.#backoff.reset();
  }

  /** Try again at once. */
  retry() {
    this.#pause.wake();
  }

  stop() {
    this.stopped = true;
    this.#pause.wake();
  }
}
