// The one dialog of the page: the browser keeps the focus in it, Escape closes it, and the focus goes back to where it was.
import { icon, make } from "../modules/dom.js";
import { t } from "../modules/languages.js";

const dialog = () => document.getElementById("dialog");

/** Show `nodes` under `title`. `onClose`: when it is closed, however. */
export function openDialog(title, nodes, { kind = "", onClose = () => {} } = {}) {
  const element = dialog();
  const heading = make("h2", { id: "dialog-title", tabindex: "-1", autofocus: true }, title);
  const close = make("button", { type: "button", class: "small", "aria-label": t("close"), onclick: closeDialog }, icon("close"));
  element.className = kind;
  element.replaceChildren(make("div", { class: "dialog-head" }, heading, close), make("div", { class: "dialog-body" }, ...nodes));
  const from = document.activeElement?.dataset.key;
  element.onclose = () => {
    if (element.open) {
      return; // opened again before it was told of its closing
    }
    element.replaceChildren();
    if (document.activeElement === document.body && from) {
      document.querySelector(`[data-key="${CSS.escape(from)}"]`)?.focus(); // its button was drawn anew meanwhile
    }
    onClose();
  };
  if (element.open) {
    heading.focus(); // one dialog leads to the next
  } else {
    element.showModal();
  }
}

export function closeDialog() {
  dialog().close();
}

/** While it is held, it is not closed by hand. */
export function holdDialog(isHeld) {
  const element = dialog();
  element.setAttribute("closedby", isHeld ? "none" : "closerequest"); // Escape, pressed twice, would close it all the same
  element.oncancel = isHeld ? (event) => event.preventDefault() : null;
  for (const close of element.querySelectorAll(".dialog-head button")) {
    close.disabled = isHeld;
  }
}

export function isDialogOpen() {
  return dialog().open;
}
