// Staff at the screen: a token that allows more, kept in memory alone, and forgotten when nobody touches the screen.
import { useStaffToken } from "./token.js";

const FORGOTTEN_MS = 5 * 60_000;

export class Staff {
  #timer = null;

  /** `onForgotten()`: the token is forgotten. */
  constructor(onForgotten) {
    this.onForgotten = onForgotten;
    for (const kind of ["pointerdown", "keydown"]) {
      addEventListener(kind, () => this.#touched(), { capture: true, passive: true });
    }
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
    if (this.isHere) {
      this.#timer = setTimeout(() => this.leave(), FORGOTTEN_MS);
    }
  }
}
