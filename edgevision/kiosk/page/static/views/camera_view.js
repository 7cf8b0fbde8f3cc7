// The camera's picture, or why there is none and what to do about it.
import { icon, make, replace } from "../modules/dom.js";
import { t } from "../modules/languages.js";
import { button } from "./parts.js";

/** `problem`: a CameraProblem, "other-tab", "starting", or null. `does`: retry(), otherCamera(), takeOver(). */
export function showCameraState(container, problem, does) {
  const words = container.querySelector("#camera-words");
  container.dataset.state = problem ? problem.kind ?? problem : "open";
  if (!problem) {
    replace(words, []);
    return;
  }
  if (problem === "starting") {
    replace(words, [icon("camera"), make("p", { class: "big" }, t("camera.starting"))]);
    return;
  }
  if (problem === "other-tab") {
    replace(words, [icon("camera"), make("p", { class: "big" }, t("tab.title")), make("p", {}, t("tab.words")), button(t("tab.take"), { kind: "first", key: "take", onclick: does.takeOver })]);
    return;
  }
  const { kind } = problem;
  const again = kind === "gone" ? button(t("camera.another"), { kind: "first", key: "another", onclick: does.otherCamera }) : button(t("camera.retry"), { kind: "first", key: "retry", onclick: does.retry });
  replace(words, [
    icon("warning"),
    make("p", { class: "big" }, t(`camera.${kind}`)),
    make("p", {}, t(`camera.${kind}.cure`)),
    kind === "unanswered" || kind === "insecure" ? null : again,
    make("p", { class: "note" }, t("camera.meanwhile")),
  ].filter(Boolean));
}

/** How old the last answer is, in seconds with one digit. */
export function showAge(element, ageMs, language) {
  const seconds = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(ageMs / 1000);
  element.textContent = t("age", { seconds });
  element.hidden = false;
}
