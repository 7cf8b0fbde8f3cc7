// What the shopper takes: lines of a product and how many. Kept over reloads and restarts; every change can be undone.
import { decimal } from "./money.js";

const UNDOS = 20;
const KEYS = 200;
export const MOST = 99; // of one product

// `receipt`: null, or {key, body, lines}, one that was sent and had no answer yet. It may have been taken: as long as the basket still has all of its
// products, the next try, after a reload too, is the same one, and counts once. Where something was put back, it rests.
const EMPTY = { lines: [], undo: [], keys: [], receipt: null };

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
    return countOf(this.lines);
  }

  /** {units, currency, unpriced}: of the lines with a price; currency is null where none has one. */
  get total() {
    return totalOf(this.lines);
  }

  /** The lines to pay: those of a receipt that had no answer, as it was sent, and what else is in the basket. */
  get due() {
    const { lines } = this.#state;
    const waiting = waitingOf(this.#state);
    return waiting === null ? lines : without(lines, waiting.lines).reduce((all, line) => plus(all, line, line.quantity), waiting.lines);
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
      const { undo, ...rest } = state ?? EMPTY;
      return undo.length ? { ...rest, lines: undo.at(-1), undo: undo.slice(0, -1) } : undefined;
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

  /** The receipt to send, {key, body, lines}: the one that had no answer, else one of `lines`. */
  async receipt(lines, at) {
    let receipt;
    await this.#store.update((state) => {
      receipt = waitingOf(state ?? EMPTY) ?? { key: newKey(), body: bodyOf(lines, at), lines };
      return { ...(state ?? EMPTY), receipt };
    });
    return receipt;
  }

  /** The receipt was refused: the next one is another. */
  async refused() {
    await this.#store.update((state) => ({ ...(state ?? EMPTY), receipt: null }));
    this.onChange();
  }

  /** A receipt was taken: its lines go, once. What came meanwhile stays, and so do the events that were counted. `key`: null where none is sent. */
  async paid({ key, lines }) {
    await this.#store.update((state) => {
      const { lines: now, keys, receipt = null } = state ?? EMPTY;
      return key !== null && receipt?.key !== key ? undefined : { ...EMPTY, keys, lines: without(now, lines) };
    });
    this.onChange();
  }

  /** Lines without a price get the one that `priceOf(line)`, {units, currency}, has by now. A price that was shown stays. */
  async price(priceOf) {
    let changed = false;
    await this.#store.update((state) => {
      const { lines, undo, ...rest } = state ?? EMPTY;
      const priced = (some) =>
        some.map((line) => {
          const { units, currency } = priceOf(line);
          return line.units === null && units !== null ? { ...line, units, currency } : line;
        });
      const before = [lines, ...undo];
      const [now, ...undos] = before.map(priced);
      changed = [now, ...undos].some((some, k) => some.some((line, n) => line !== before[k][n]));
      return changed ? { ...rest, lines: now, undo: undos } : undefined;
    });
    if (changed) {
      this.onChange();
    }
  }

  get #state() {
    return this.#store.read() ?? EMPTY;
  }

  /** Whether it changed: not where `key` was counted before. */
  async #change(key, change) {
    let changed = false;
    await this.#store.update((state) => {
      const { lines, undo, keys, ...rest } = state ?? EMPTY;
      if (key !== null && keys.includes(key)) {
        return undefined;
      }
      changed = true;
      const known = key === null ? keys : [...keys, key].slice(-KEYS);
      return { ...rest, lines: change(lines), undo: [...undo, lines].slice(-UNDOS), keys: known };
    });
    if (changed) {
      this.onChange();
    }
    return changed;
  }
}

/** The receipt that had no answer, where the basket still has all that is on it; else null. One of an earlier page has no lines. */
function waitingOf({ lines, receipt = null }) {
  const has = ({ id, quantity }) => lines.some((line) => line.id === id && line.quantity >= quantity);
  return receipt?.lines?.every(has) ? receipt : null;
}

/** How many things. */
export function countOf(lines) {
  return lines.reduce((sum, line) => sum + line.quantity, 0);
}

/** {units, currency, unpriced}: of the lines with a price; currency is null where none has one. */
export function totalOf(lines) {
  const priced = lines.filter((line) => line.units !== null);
  return {
    units: priced.reduce((sum, line) => sum + line.units * line.quantity, 0),
    currency: priced[0]?.currency ?? null,
    unpriced: lines.length - priced.length,
  };
}

/** As it travels: prices as texts with a point. */
function bodyOf(lines, at) {
  const { units, currency } = totalOf(lines);
  const items = lines.map((line) => ({
    id: line.id,
    name: line.name,
    quantity: line.quantity,
    price: line.units === null ? null : decimal(line.units, line.currency),
  }));
  return { items, total: currency ? decimal(units, currency) : null, currency, at: at.toISOString() };
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
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

/** `lines`, less as many of each as `others` has. */
export function without(lines, others) {
  return others.reduce((rest, line) => minus(rest, line.id, line.quantity), lines);
}
