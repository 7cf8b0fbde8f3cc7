// Teaching a product: what to do next, which views were taken, and its name.
import { icon, make, replace } from "../modules/dom.js";
import { t } from "../modules/languages.js";
import { button } from "./parts.js";
import { productFields } from "./shelf_view.js";

const WORDS = {
  taken: "teach.taken",
  alike: "teach.alike",
  blurred: "teach.blurred",
  other: "teach.other",
  nothing: "teach.nothing",
  learnt: "teach.learnt",
  dark: "blocked.dark",
  covered: "blocked.covered",
  full: "teach.full",
};

/** What came of a picture, in words. */
export function wordsFor(word) {
  return word in WORDS ? t(WORDS[word]) : "";
}

/**
 * `state`: {phase: "idle" | "clear" | "turn", views: [{source, picture}], till, wanted, word, like, product, saved, trouble}; `till`: the picture of what the
 * till did not know, or null. `does`: begin(), empty(), inHand(), drop(view), dropTill(), save(read), stop(), undo(saved). The form is made once a lesson and never drawn anew: whoever types is not disturbed by the next view.
 */
export class TeachView {
  #steps = make("div", { class: "steps" });
  #form = make("form", { class: "column", hidden: true });
  #save = make("button", { type: "submit", class: "first", "data-key": "save" });
  #trouble = make("p", { class: "trouble", role: "alert" });
  #read = () => undefined;
  #does;

  constructor(container, does) {
    this.#does = does;
    container.replaceChildren(this.#steps, this.#form);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      does.save(() => this.#read());
    });
  }

  /** A form for the next product: a new one, or `product`, of which more views are taken. */
  renew(product, currency) {
    const fields = product ? null : productFields("teach", currency);
    this.#read = () => fields?.read();
    this.#save.replaceChildren(icon("check"), make("span", {}, t("teach.save")));
    const ways = make("div", { class: "buttons" }, this.#save, this.#stop());
    this.#form.replaceChildren(...(fields?.nodes ?? []), this.#trouble, ways);
  }

  show(state) {
    const nodes = { idle: () => this.#idle(state), clear: () => this.#clear(), turn: () => this.#turn(state) }[state.phase]();
    replace(this.#steps, nodes, document.getElementById("teach-title"));
    this.#form.hidden = state.phase !== "turn";
    this.#save.disabled = state.views.length === 0;
    if (this.#trouble.textContent !== state.trouble) {
      this.#trouble.textContent = state.trouble;
    }
  }

  #idle({ saved, trouble }) {
    const told = saved
      ? make("div", { class: "plain good" }, icon("check"), make("p", { class: "big" }, t("teach.saved", { name: saved.name, views: t("products.views", { count: saved.added }) })), button(t("undo"), { name: "undo", key: "undo", onclick: () => this.#does.undo(saved) }))
      : make("p", {}, t("teach.lead"));
    return [told, troubled(trouble), button(t("teach.begin"), { name: "camera", kind: "first", key: "begin", onclick: this.#does.begin })].filter(Boolean);
  }

  #clear() {
    return [
      step("remove", t("teach.clear"), t("teach.clear.more")),
      make("div", { class: "buttons" }, button(t("teach.is.empty"), { name: "check", kind: "first", key: "empty", onclick: this.#does.empty }), button(t("teach.in.hand"), { key: "hand", onclick: this.#does.inHand }), this.#stop()),
    ];
  }

  #turn(state) {
    const { views, till, wanted, word, like, product } = state;
    const count = t("teach.progress", { count: views.length, wanted });
    const enough = views.length >= wanted;
    const progress = make("progress", { max: wanted, value: Math.min(views.length, wanted), "aria-label": count });
    const list = views.map((view, k) =>
      make("li", { class: "view" }, make("img", { src: view.picture, alt: t("teach.view", { number: k + 1 }) }),
        drop(t("teach.view.drop", { number: k + 1 }), `drop-${view.source}`, () => this.#does.drop(view))),
    );
    if (till) {
      list.unshift(make("li", { class: "view" }, make("img", { src: till, alt: "" }), drop(t("teach.till.drop"), "drop-till", this.#does.dropTill), make("p", { class: "note" }, t("teach.till"))));
    }
    const known = like && like.known && like.id !== product?.id ? make("p", { class: "note", id: "like" }, t("teach.like", { name: like.name })) : null;
    return [
      step("turn", t("teach.turn"), t("teach.turn.more")),
      make("div", { class: "progress" }, progress, make("p", { class: "big", "aria-hidden": "true" }, count)),
      make("p", { class: "note", id: "teach-word" }, enough && word !== "blurred" ? t("teach.enough") : wordsFor(word)),
      known,
      list.length ? make("ul", { class: "views" }, ...list) : null,
    ].filter(Boolean);
  }

  #stop() {
    return button(t("teach.stop"), { name: "close", kind: "quiet", key: "stop", onclick: this.#does.stop });
  }
}

function drop(words, key, onclick) {
  return make("button", { type: "button", class: "small", "aria-label": words, "data-key": key, onclick }, icon("close"));
}

function step(name, head, more) {
  return make("div", { class: "plain" }, icon(name), make("div", {}, make("p", { class: "big" }, head), make("p", {}, more)));
}

function troubled(words) {
  return words ? make("p", { class: "trouble", role: "alert" }, words) : null;
}
