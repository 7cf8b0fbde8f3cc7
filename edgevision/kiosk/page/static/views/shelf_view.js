// The gallery's products, as staff sees them: a list, and a form for each.
import { icon, make, replace } from "../modules/dom.js";
import { language, t } from "../modules/languages.js";
import { decimal, formatMoney, parsePrice, writtenPrice } from "../modules/money.js";
import { closeDialog, openDialog } from "./dialog.js";
import { button, pictureOf } from "./parts.js";

/** `products`: of GET /v1/gallery. `more`: how many there are besides. `does`: open(product), more(). */
export function showShelf(list, products, more, does) {
  const rows = products.map((one) => row(one, does));
  if (more > 0) {
    rows.push(make("li", {}, button(t("products.more"), { kind: "wide", key: "more", onclick: does.more })));
  }
  replace(list, rows, document.getElementById("list-title"));
}

function row(product, does) {
  const words = make(
    "span",
    { class: "shelf-words" },
    make("span", { class: "name" }, product.name),
    make("span", { class: "note" }, [priceIn(product), t("products.views", { count: product.examples })].filter(Boolean).join(" · ")),
  );
  return make(
    "li",
    {},
    make("button", { type: "button", class: "shelf-product", "data-key": `product-${product.id}`, "aria-haspopup": "dialog", onclick: () => does.open(product) }, pictureOf(product), words, icon("change")),
  );
}

function priceIn({ price, currency }) {
  const units = price === null || currency === null ? null : parsePrice(price, currency);
  return units === null ? "" : formatMoney(units, currency, language());
}

/** Name and price, to be changed. `does`: change({name, fields}), teach(), forget(); the first and last return promises. */
export function openProduct(product, currency, does) {
  const fields = productFields("product", currency, product);
  const trouble = make("p", { class: "trouble", role: "alert" });
  const form = make("form", { class: "column" }, ...fields.nodes, trouble, make("button", { type: "submit", class: "first", "data-key": "change" }, icon("check"), make("span", {}, t("product.save"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(trouble, async () => {
      const { name, fields: written } = fields.read();
      await does.change({ name, fields: { price: null, ...written } });
      closeDialog();
    });
  });
  const ways = make(
    "div",
    { class: "buttons" },
    button(t("product.views"), { name: "camera", key: "views", onclick: () => {
      closeDialog();
      does.teach();
    } }),
    button(t("product.forget"), { name: "remove", kind: "quiet", key: "forget", onclick: () => openForget(product, does) }),
  );
  openDialog(product.name, [make("p", { class: "note" }, t("products.views", { count: product.examples })), form, ways]);
}

function openForget(product, does) {
  const trouble = make("p", { class: "trouble", role: "alert" });
  const yes = button(t("product.forget.yes"), { name: "remove", kind: "first", key: "forget-yes", onclick: () => attempt(trouble, async () => {
    await does.forget();
    closeDialog();
  }) });
  const words = make("p", {}, t("product.forget.more", { views: t("products.views", { count: product.examples }) }));
  openDialog(t("product.forget.title", { name: product.name }), [words, trouble, make("div", { class: "buttons" }, yes, button(t("finish.back"), { onclick: closeDialog }))]);
}

async function attempt(trouble, work) {
  trouble.textContent = "";
  try {
    await work();
  } catch (error) {
    trouble.textContent = error.words ?? t("product.failed", { reason: error.message });
  }
}

/** A mistake in what was typed, in words for whoever typed it. */
export class Typed extends Error {
  constructor(words) {
    super(words);
    this.words = words;
  }
}

/** Fields for a name and a price; `where`: what their ids begin with, for two forms may stand on the page. `read()`: {name, fields}; throws Typed, and takes the focus to what is wrong. */
export function productFields(where, currency, product = null) {
  const name = make("input", { id: `${where}-name`, autocomplete: "off", maxlength: 200, value: product?.name ?? "", "aria-required": "true" });
  const price = make("input", { id: `${where}-price`, autocomplete: "off", inputmode: "decimal", value: typed(product?.fields?.price) });
  const code = currency === null ? make("input", { id: `${where}-currency`, autocomplete: "off", maxlength: 3, value: product?.fields?.currency ?? "" }) : null;
  const nodes = [
    make("label", { class: "field", for: name.id }, t("search.label"), name),
    make("label", { class: "field", for: price.id }, currency === null ? t("teach.price") : t("teach.price.in", { currency }), price),
    code && make("label", { class: "field", for: code.id }, t("teach.currency"), code),
  ].filter(Boolean);
  const wrong = (field, words) => {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    throw new Typed(words);
  };
  const read = () => {
    for (const field of [name, price, code].filter(Boolean)) {
      field.removeAttribute("aria-invalid");
    }
    if (!name.value.trim()) {
      wrong(name, t("teach.needs.name"));
    }
    const text = price.value.trim();
    if (!text) {
      return { name: name.value.trim(), fields: {} };
    }
    const known = currency ?? code.value.trim().toUpperCase();
    if (!isCurrency(known)) {
      wrong(code, t("teach.bad.currency"));
    }
    const units = writtenPrice(text, known);
    if (units === null) {
      wrong(price, t("teach.bad.price"));
    }
    return { name: name.value.trim(), fields: { price: Number(decimal(units, known)), currency: known } };
  };
  return { nodes, read, name };
}

function typed(price) {
  return price === undefined || price === null ? "" : String(price);
}

function isCurrency(text) {
  try {
    return /^[A-Z]{3}$/.test(text) && Boolean(new Intl.NumberFormat("en", { style: "currency", currency: text }));
  } catch {
    return false;
  }
}
