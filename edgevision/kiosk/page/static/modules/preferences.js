// What the shopper set: language, size of text, contrast, speech. They last until the next shopper.

const NAME = "edgevision.preferences";
const DEFAULTS = { language: null, text: 1, contrast: false, speech: false, moreTime: false };
export const SIZES = [1, 1.25, 1.5, 1.75, 2];

export class Preferences {
  #values = { ...DEFAULTS };

  constructor() {
    try {
      this.#values = { ...DEFAULTS, ...JSON.parse(sessionStorage.getItem(NAME) ?? "{}") };
    } catch {
      // begin with the defaults
    }
  }

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#values = { ...this.#values, [name]: value };
    this.#keep();
  }

  reset() {
    this.#values = { ...DEFAULTS };
    this.#keep();
  }

  #keep() {
    try {
      sessionStorage.setItem(NAME, JSON.stringify(this.#values));
    } catch {
      // they last as long as the page
    }
  }
}
