// The basket: its lines, how many of each, and what it costs.
import { icon, make, replace } from "../modules/dom.js";
import { formatMoney } from "../modules/money.js";
import { language, t } from "../modules/languages.js";
import { MOST } from "../modules/basket.js";
import { button, pictureOf, priceOf } from "./parts.js";

/** `does`: more(line), less(line), remove(line), undo(), finish(). */
export function showBasket({ lines, sum, undo }, basket, catalogue, does) {
  replace(undo, [icon("undo"), make("span", {}, t("undo"))]);
  undo.disabled = !basket.canUndo;
  const items = basket.lines.map((line) => lineOf(line, catalogue.of(line), does));
  const list = items.length ? [make("ul", { class: "line-list" }, ...items)] : [empty()];
  replace(lines, list, document.getElementById("basket-title"));
  replace(sum, [total(basket.total, basket.count), button(t("finish"), { kind: "first", key: "finish", onclick: does.finish, disabled: basket.count === 0 })],
    document.getElementById("basket-title"));
}

function empty() {
  return make("div", { class: "plain" }, icon("basket"), make("p", {}, t("basket.empty")));
}

function lineOf(line, product, does) {
  const { id, name, quantity } = line;
  const count = make("span", { class: "quantity" }, make("span", { class: "out-of-sight" }, t("quantity", { count: quantity })), shown(String(quantity)));
  return make(
    "li",
    { class: "line", "data-line": id },
    pictureOf({ ...product, name }),
    make("div", { class: "line-words" }, make("p", { class: "name" }, name), make("p", { class: "each" }, t("each", { price: priceOf(line) }))),
    make(
      "div",
      { class: "counter" },
      small("minus", t("less.of", { name }), `less-${id}`, () => does.less(line), quantity <= 1),
      count,
      small("plus", t("more.of", { name }), `more-${id}`, () => does.more(line), quantity >= MOST),
      small("remove", t("remove", { name }), `remove-${id}`, () => does.remove(line)),
    ),
    make("p", { class: "line-price" }, priceOf(line, quantity)),
  );
}

function shown(text) {
  return make("span", { "aria-hidden": "true" }, text);
}

function small(name, label, key, onclick, disabled = false) {
  return make("button", { type: "button", class: "small", "aria-label": label, "data-key": key, disabled, onclick }, icon(name));
}

/** How many things, and what they cost together. */
export function total({ units, currency, unpriced }, count) {
  const money = currency ? formatMoney(units, currency, language()) : "–";
  return make(
    "div",
    { class: "total" },
    make("p", { class: "total-count" }, t("items", { count })),
    make("p", { class: "total-money" }, make("span", { class: "total-word" }, t("total")), " ", make("strong", {}, money)),
    unpriced ? make("p", { class: "note" }, t("unpriced", { count: unpriced })) : null,
  );
}
