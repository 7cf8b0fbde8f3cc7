// The product list: the way out where the camera does not help.
import { make } from "../modules/dom.js";
import { t } from "../modules/languages.js";
import { say } from "../modules/speech.js";
import { closeDialog, openDialog } from "./dialog.js";
import { button } from "./parts.js";
import { choice } from "./result_view.js";

const MOST = 60; // drawn at once; more words find the rest

/** `first`: products shown before the others, such as the next likely ones. `onChoose(product)`, `onHelp()`. */
export function openSearch(catalogue, { title, first = [], others = [], onChoose, onHelp }) {
  const list = make("ul", { class: "choices found", id: "found" });
  const words = make("p", { class: "note", id: "found-words" });
  const field = make("input", { type: "search", id: "search", autocomplete: "off", enterkeyhint: "search", "aria-describedby": "found-words" });
  const choose = (product) => {
    closeDialog();
    onChoose(product);
  };
  let timer;
  const show = () => {
    const found = catalogue.search(field.value);
    const ahead = field.value.trim() ? [] : first;
    const shown = [...ahead, ...found.filter((one) => !ahead.some((other) => other.id === one.id))].slice(0, MOST);
    list.replaceChildren(...shown.map((one) => choice(one, () => choose(one))));
    words.textContent = found.length > shown.length ? t("search.many", { shown: shown.length, count: found.length }) : t("search.found", { count: found.length });
    return words.textContent;
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    const told = show();
    timer = setTimeout(() => say(told), 600); // not after each letter
  });
  show();
  const ways = make("div", { class: "buttons" }, ...others, button(t("help.ask"), { name: "help", onclick: onHelp }));
  openDialog(title, [make("label", { class: "field", for: "search" }, t("search.label"), field), words, list, ways], { kind: "wide-dialog" });
}
