// One line above all: no connection, no pairing, wrong tokens, or why the camera cannot see.
import { icon, make, replace } from "../modules/dom.js";
import { language, t } from "../modules/languages.js";
import { button } from "./parts.js";

/** `notice`: null, or {kind: "lost" | "pairing" | "staff" | "throttled" | "blocked" | "list", reason, seconds}. `does`: retry(), pair(token). */
export function showNotice(container, notice, does) {
  const shown = notice ? `${language()} ${notice.kind} ${notice.reason ?? ""} ${notice.seconds ?? ""}` : "";
  if (container.dataset.shown === shown) {
    return; // what somebody types into it stays
  }
  container.dataset.shown = shown;
  container.hidden = notice === null;
  container.dataset.kind = notice?.kind ?? "";
  if (notice === null) {
    replace(container, []);
    return;
  }
  const nodes = [icon("warning"), make("p", {}, wordsOf(notice))];
  if (notice.kind === "lost" || notice.kind === "list") {
    nodes.push(button(t("lost.retry"), { key: "retry-connection", onclick: does.retry }));
  }
  if (notice.kind === "pairing" || notice.kind === "staff") {
    nodes.push(pairing(does.pair));
  }
  replace(container, nodes);
}

/** The notice in words. */
export function wordsOf(notice) {
  return notice.kind === "blocked" ? t(`blocked.${notice.reason}`) : t(notice.kind, { seconds: notice.seconds });
}

function pairing(pair) {
  const field = make("input", { type: "password", id: "token", autocomplete: "off", "data-key": "token" });
  const form = make("form", { class: "pairing" }, make("label", { for: "token" }, t("pairing.label")), field, make("button", { type: "submit" }, t("pairing.send")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pair(field.value.trim());
  });
  return form;
}
