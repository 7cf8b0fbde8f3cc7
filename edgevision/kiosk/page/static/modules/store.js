// Values that all tabs of this browser share, changed by one tab at a time.

export class Store {
  #name;
  #memory = null; // where storage is blocked

  /** `onChange()`: another tab changed it. */
  constructor(name, onChange = () => {}) {
    this.#name = name;
    addEventListener("storage", (event) => {
      if (event.key === name || event.key === null) {
        onChange();
      }
    });
  }

  /** The value, or null. */
  read() {
    let text = this.#memory;
    try {
      text = localStorage.getItem(this.#name);
    } catch {
      // kept in memory
    }
    try {
      return text === null ? null : JSON.parse(text);
    } catch {
      return null; // damaged: begin anew
    }
  }

  /** `change(value)` gives the new value, or undefined to leave it. No other tab changes it meanwhile. */
  async update(change) {
    const work = () => {
      const value = change(this.read());
      if (value !== undefined) {
        this.#write(JSON.stringify(value));
      }
    };
    if (navigator.locks) {
      await navigator.locks.request(this.#name, work);
    } else {
      work();
    }
  }

  #write(text) {
    this.#memory = text;
    try {
      localStorage.setItem(this.#name, text);
    } catch {
      // full or blocked: in memory, for this tab
    }
  }
}
