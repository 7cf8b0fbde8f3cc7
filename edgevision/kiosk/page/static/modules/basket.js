// What the shopper takes: lines of a product and how many. Kept over reloads and restarts; every change can be undone.
import { decimal } from "./money.js";

const UNDOS = 20;
const KEYS = 200;
export const MOST = 99; // of one product

const EMPTY = { lines: [], undo: [], keys: [] };

export class Basket {
  #store;

  /** `store`: a Store. `onChange()`: after each change, of other tabs too. */
  constructor(store, onChange) {
    this.#store = store;
    this.onChange = onChange;
  }

  /** [{id, name, units, currency, quantity}]; `units`: the price in the currency's smallest unit, null where it has none. */
  get lines() {
    return this.#state.lines;
  }

  get canUndo() {
    return this.#state.undo.length > 0;
  }

  /** How many things. */
  get count() {
    return this.lines.reduce((sum, line) => sum + line.quantity, 0);
  }

  /** {units, currency, unpriced}: of the lines with a price; currency is null where none has one. */
  get total() {
    const priced = this.lines.filter((line) => line.units !== null);
    return {
      units: priced.reduce((sum, line) => sum + line.units * line.quantity, 0),
      currency: priced[0]?.currency ?? null,
      unpriced: this.lines.length - priced.length,
    };
  }

  /** One more of `product`. `key`: of the event that it comes from; the same event counts once, however often it comes. */
  async add(product, key = null) {
    return this.#change(key, (lines) => plus(lines, product, 1));
  }

  /** One of `wrong` was `right`. */
  async correct(wrong, right, key = null) {
    return this.#change(key, (lines) => plus(minus(lines, wrong.id, 1), right, 1));
  }

  async takeAway(id, quantity = 1) {
    return this.#change(null, (lines) => minus(lines, id, quantity));
  }

  async more(id) {
    return this.#change(null, (lines) => {
      const line = lines.find((one) => one.id === id);
      return line ? plus(lines, line, 1) : lines;
    });
  }

  async undo() {
    await this.#store.update((state) => {
      const { lines, undo, keys } = state ?? EMPTY;
      return undo.length ? { lines: undo.at(-1), undo: undo.slice(0, -1), keys } : { lines, undo, keys };
    });
    this.onChange();
  }

  /** For the next shopper. The events that were counted stay known: a product that still lies there is not theirs. */
  async clear() {
    await this.#store.update((state) => ({ ...EMPTY, keys: state?.keys ?? [] }));
    this.onChange();
  }

  /** Whether an event was counted already, by this tab or another. */
  has(key) {
    return this.#state.keys.includes(key);
  }

  /** An event was dealt with, though nothing was added. */
  async settle(key) {
    await this.#store.update((state) => {
      const { keys, ...rest } = state ?? EMPTY;
      return { ...rest, keys: [...keys, key].slice(-KEYS) };
    });
    this.onChange();
  }

  /** As it is sent: prices as texts with a point. */
  receipt(at) {
    const { units, currency } = this.total;
    const items = this.lines.map((line) => ({
      id: line.id,
      name: line.name,
      quantity: line.quantity,
      price: line.units === null ? null : decimal(line.units, line.currency),
    }));
    return { items, total: currency ? decimal(units, currency) : null, currency, at: at.toISOString() };
  }

  get #state() {
    return this.#store.read() ?? EMPTY;
  }

  /** Whether it changed: not where `key` was counted before. */
  async #change(key, change) {
    let changed = false;
    await this.#store.update((state) => {
      const { lines, undo, keys } = state ?? EMPTY;
      if (key !== null && keys.includes(key)) {
        return undefined;
      }
      changed = true;
      const known = key === null ? keys : [...keys, key].slice(-KEYS);
      return { lines: change(lines), undo: [...undo, lines].slice(-UNDOS), keys: known };
    });
    if (changed) {
      this.onChange();
    }
    return changed;
  }
}

function plus(lines, { id, name, units, currency }, quantity) {
  if (lines.some((line) => line.id === id)) {
    return lines.map((line) => (line.id === id ? { ...line, quantity: Math.min(MOST, line.quantity + quantity) } : line));
  }
  return [...lines, { id, name, units, currency, quantity }];
}

function minus(lines, id, quantity) {
  return lines
    .map((line) => (line.id === id ? { ...line, quantity: line.quantity - quantity } : line))
    .filter((line) => line.quantity > 0);
}
