// What was found out about what lies there, and the question where nothing was.
import { icon, make, replace } from "../modules/dom.js";
import { t } from "../modules/languages.js";
import { button, pictureOf, priceOf, seen } from "./parts.js";

/**
 * `visit`: a Visit; `question`: of it, or null. `catalogue`: a Catalogue. `isInBasket(product)`. `does`: what the buttons do: choose(question, product), none(question),
 * search(question), help(), more(product), wrong(product), dismiss(question), teach(question), answer(): the questions that are open.
 */
export function showResult(container, { visit, question, catalogue, isInBasket, does }) {
  const nodes = question ? asked(question, visit.questions.length, catalogue, does) : told(visit, catalogue, isInBasket, does);
  replace(container, nodes, container); // the focus is not lost with a button that is gone
  container.dataset.kind = question ? question.kind : visit.lying?.phase ?? "idle";
}

function told(visit, catalogue, isInBasket, does) {
  if (visit.lying?.phase === "looking") {
    return [plain("wait", t("looking"), t("looking.more")), ...open(visit, does)];
  }
  if (visit.lying?.phase === "known") {
    const product = catalogue.of(visit.lying.product);
    return [known(product, visit.lying, isInBasket(product), does), ...open(visit, does)];
  }
  const words = visit.lying?.phase === "asked" ? [t("take.away"), t("place.next")] : [t("place"), t("place.more")];
  return [plain("place", ...words), button(t("search.open"), { name: "search", kind: "wide", key: "search", onclick: () => does.search(null) })];
}

/** The questions that wait for an answer while the next product is told. */
function open(visit, does) {
  const count = visit.questions.length;
  return count ? [button(t("questions.left", { count }), { name: "help", kind: "wide open", key: "answer", onclick: does.answer })] : [];
}

function plain(name, head, more) {
  return make("div", { class: "plain" }, icon(name), make("div", {}, make("p", { class: "big" }, head), make("p", {}, more)));
}

function known(product, { picture }, inBasket, does) {
  const state = inBasket ? t("added") : t("not.in.basket");
  return make(
    "article",
    { class: "known", "data-product": product.id },
    pictureOf(product, picture),
    make(
      "div",
      { class: "known-words" },
      make("p", { class: `state ${inBasket ? "good" : ""}` }, inBasket ? icon("check") : null, state),
      make("h3", { class: "name" }, product.name),
      make("p", { class: "price" }, priceOf(product)),
    ),
    make(
      "div",
      { class: "buttons" },
      button(inBasket ? t("one.more") : t("add"), { name: "plus", key: "more", onclick: () => does.more(product) }),
      inBasket ? button(t("wrong"), { key: "wrong", onclick: () => does.wrong(product) }) : null,
    ),
  );
}

function asked(question, count, catalogue, does) {
  const head = question.kind === "unsure" ? t("which") : t("unknown");
  const more = question.kind === "unsure" ? t("which.more") : t("unknown.more");
  const title = make("h3", { class: "big", id: "question", tabindex: "-1" }, head);
  const note = [
    count > 1 ? make("p", { class: "note" }, t("questions.left", { count })) : null,
    question.gone ? make("p", { class: "note" }, t("gone")) : null,
  ];
  const words = make("div", { class: "question-head" }, seen(question.picture), make("div", {}, title, make("p", {}, more), ...note));
  const choices = question.choices.map((one) => choice(catalogue.of(one), () => does.choose(question, one)));
  const ways = make(
    "div",
    { class: "buttons" },
    question.kind === "unsure" ? button(t("none.of.these"), { key: "none", onclick: () => does.none(question) }) : null,
    question.kind === "unknown" ? button(t("search.open"), { name: "search", kind: "first", key: "search-it", onclick: () => does.search(question) }) : null,
    button(t("help.ask"), { name: "help", key: "ask", onclick: () => does.help() }),
    question.kind === "unknown" && catalogue.features.gallery ? button(t("unknown.teach"), { name: "camera", kind: "quiet", key: "teach", onclick: () => does.teach(question) }) : null,
    button(t("do.not.add"), { name: "close", kind: "quiet", key: "dismiss", onclick: () => does.dismiss(question) }),
  );
  const list = choices.length ? make("ul", { class: `choices result-choices choices-${choices.length}`, "aria-labelledby": "question" }, ...choices) : null;
  return [words, list, ways].filter(Boolean);
}

/** A product to choose. */
export function choice(product, onclick) {
  const words = make("span", { class: "choice-words" }, make("span", { class: "name" }, product.name), make("span", { class: "price" }, priceOf(product)));
  return make("li", {}, make("button", { type: "button", class: "choice", "data-key": `choice-${product.id}`, onclick }, pictureOf(product), words));
}
