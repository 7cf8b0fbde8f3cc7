// Parts that several views are made of.
import { make, icon } from "../modules/dom.js";
import { formatMoney } from "../modules/money.js";
import { language, t } from "../modules/languages.js";
import { showPicture } from "../modules/pictures.js";

/** A button of words, with an icon before them. */
export function button(words, { name = null, kind = "", key = null, onclick, ...rest }) {
  return make("button", { type: "button", class: kind, "data-key": key, onclick, ...rest }, name && icon(name), make("span", {}, words));
}

/** What a product costs, in words where it has no price. */
export function priceOf(product, quantity = 1) {
  return product.units === null ? t("price.none") : formatMoney(product.units * quantity, product.currency, language());
}

/** A product's picture, else `other`, else its first letter. The name stands beside it: the picture says nothing to screen readers. */
export function pictureOf(product, other = null) {
  const letter = make("span", { class: "letter", "aria-hidden": "true" }, [...product.name][0] ?? "?");
  const tile = make("span", { class: `tile tint-${Math.abs(product.id) % 6}` }, letter);
  const address = product.picture ?? other;
  if (address) {
    const image = make("img", { alt: "", class: "tile-picture" });
    tile.append(image);
    showPicture(image, address);
  }
  return tile;
}

/** The picture that an answer brought along, of what lies there. */
export function seen(address) {
  return address ? make("img", { class: "seen", alt: t("picture.seen"), src: address }) : null;
}
