// Nobody there? Asks, then makes room for the next shopper. Whoever is there can always have more time.

export class Idle {
  #timer = null;
  #left = 0;

  /** `isBusy()`: there is something to lose. `onWarn(secondsLeft)`: each second of the warning; `onStay()`: somebody is there; `onLeft()`. */
  constructor({ idleS, warnS, isBusy, onWarn, onStay, onLeft }) {
    Object.assign(this, { idleS, warnS, isBusy, onWarn, onStay, onLeft });
    for (const kind of ["pointerdown", "keydown", "wheel", "click"]) {
      addEventListener(kind, (event) => this.#touched(event), { capture: true, passive: false });
    }
    this.stay();
  }

  /** While it asks, any key or click is an answer, but those that lead to its buttons, and those buttons' own. */
  #touched(event) {
    if (this.#left <= 0) {
      this.stay();
      return;
    }
    const onButton = event.target instanceof Element && event.target.closest("button") !== null;
    if (event.type === "pointerdown" || event.type === "wheel" || onButton || ["Tab", "Shift"].includes(event.key)) {
      this.#left = this.warnS; // somebody is there, and needs the time to get to a button
      return;
    }
    event.preventDefault(); // it answers, and does nothing else
    this.stay();
  }

  /** Somebody is there. */
  stay() {
    clearTimeout(this.#timer);
    if (this.#left > 0) {
      this.#left = 0;
      this.onStay();
    }
    this.#timer = setTimeout(() => this.#warn(), this.idleS * 1000);
  }

  /** Ask now: it is not known who is there. */
  ask() {
    clearTimeout(this.#timer);
    this.#warn();
  }

  #warn() {
    if (!this.isBusy()) {
      this.stay();
      return;
    }
    this.#left = this.warnS;
    this.#count();
  }

  #count() {
    if (this.#left <= 0) {
      this.onLeft();
      this.stay();
      return;
    }
    this.onWarn(this.#left);
    this.#timer = setTimeout(() => {
      this.#left -= 1;
      this.#count();
    }, 1000);
  }
}
