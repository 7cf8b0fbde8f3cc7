// The words of the page: one JSON file a language, with the same keys in each.
import { getJson } from "./api.js";

const loaded = new Map(); // code → promise of its words
let words = {};
let code = "en";
let plurals = new Intl.PluralRules("en");

/** [{code, name}], each name in its own language. */
export async function languages() {
  return getJson("static/languages/index.json");
}

/** The first of `wished` that is there, else the first that is there. "de-AT" is content with "de". */
export function bestOf(available, wished) {
  const codes = available.map((one) => one.code);
  for (const wish of wished) {
    const found = codes.find((one) => one === wish) ?? codes.find((one) => one === wish?.split("-")[0]);
    if (found) {
      return found;
    }
  }
  return codes[0];
}

/** The words of a language; fetched once, so that it is there when the service is not. */
export function load(chosen) {
  if (!loaded.has(chosen)) {
    const found = getJson(`static/languages/${chosen}.json`);
    found.catch(() => loaded.delete(chosen));
    loaded.set(chosen, found);
  }
  return loaded.get(chosen);
}

/** From now on, words are in this language; the page says so to screen readers. */
export async function useLanguage(chosen) {
  words = await load(chosen);
  code = chosen;
  plurals = new Intl.PluralRules(chosen);
  document.documentElement.lang = chosen;
}

export function language() {
  return code;
}

/** The text of `key`, its {names} filled in. With a `count`, the form for that many. */
export function t(key, values = {}) {
  const many = "count" in values ? `${key}.${plurals.select(values.count)}` : key;
  const text = words[many] ?? words[`${key}.other`] ?? words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** Fill in the texts that stand in the HTML: data-text for the content, data-label for aria-label. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
