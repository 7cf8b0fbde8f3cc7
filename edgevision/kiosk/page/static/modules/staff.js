// Staff at the screen: a token that allows more, kept in memory alone, and forgotten when nobody touches the screen.
import { useStaffToken } from "./token.js";

const FORGOTTEN_MS = 5 * 60_000;

export class Staff {
  #timer = null;

  /** `onForgotten()`: the token is forgotten. `onIdle()`: nobody touched the screen for as long, whether there was a token or not. */
  constructor({ onForgotten, onIdle }) {
    Object.assign(this, { onForgotten, onIdle });
    for (const kind of ["pointerdown", "keydown"]) {
      addEventListener(kind, () => this.#touched(), { capture: true, passive: true });
    }
    this.#touched();
  }

  isHere = false;

  come(token) {
    this.isHere = true;
    useStaffToken(token);
    this.#touched();
  }

  leave() {
    clearTimeout(this.#timer);
    if (this.isHere) {
      this.isHere = false;
      useStaffToken(null);
      this.onForgotten();
    }
  }

  #touched() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.leave();
      this.onIdle();
    }, FORGOTTEN_MS);
  }
}
