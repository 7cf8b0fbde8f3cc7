// The products, their prices and pictures: GET /v1/products.
import { getJson } from "./api.js";
import { digitsOf, parsePrice } from "./money.js";

export class Catalogue {
  #byId = new Map();
  products = [];
  currency = null; // of the whole list: one till adds up one currency
  features = {}; // what the service offers besides: receipts, feedback; what it does not speak of is taken to be there

  async load() {
    const { products, features = {} } = await getJson("/v1/products");
    this.features = features;
    this.currency = products.find((one) => one.price !== null && isCurrency(one.currency))?.currency ?? null;
    this.products = products.map((one) => this.#read(one));
    this.#byId = new Map(this.products.map((one) => [one.id, one]));
  }

  has(id) {
    return this.#byId.has(id);
  }

  /** The product of an answer, {id, name}; one that the list lacks has no price and no picture. */
  of({ id, name }) {
    return this.#byId.get(id) ?? { id, name, units: null, currency: null, picture: null };
  }

  /** Those whose names hold all words of `text`, whatever their accents and case, in the list's order. */
  search(text) {
    const words = plain(text).split(/\s+/).filter(Boolean);
    return this.products.filter((one) => words.every((word) => plain(one.name).includes(word)));
  }

  #read({ id, name, price, currency, picture }) {
    const usable = price !== null && currency === this.currency && this.currency !== null;
    const units = usable ? parsePrice(price, currency) : null;
    if (price !== null && units === null) {
      console.warn(`${name}: ${price} ${currency} is no price in ${this.currency}`);
    }
    return { id, name, units, currency: units === null ? null : currency, picture: picture ?? null };
  }
}

function isCurrency(text) {
  try {
    digitsOf(text);
    return true;
  } catch {
    return false;
  }
}

function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
