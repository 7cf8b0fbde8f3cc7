// Short dialogs: help, languages, the end of a visit, and whether anybody is still there.
import { icon, make } from "../modules/dom.js";
import { countOf, totalOf } from "../modules/basket.js";
import { t } from "../modules/languages.js";
import { closeDialog, holdDialog, openDialog } from "./dialog.js";
import { total } from "./basket_view.js";
import { button, priceOf } from "./parts.js";

/** The screen calls for staff, large and steady, until somebody says that it is done. */
export function openHelp() {
  const done = button(t("help.done"), { kind: "first", onclick: closeDialog });
  const words = make("p", { class: "big" }, t("help.words"));
  openDialog(t("help.title"), [make("div", { class: "plain help-sign" }, icon("help"), words), make("div", { class: "buttons" }, done)], {
    kind: "help-dialog",
  });
}

/** `all`: [{code, name}]; `now`: the code in use. */
export function openLanguages(all, now, onChoose) {
  const choose = (code) => {
    closeDialog();
    onChoose(code);
  };
  const buttons = all.map(({ code, name }) =>
    button(name, { kind: "wide", lang: code, "aria-pressed": String(code === now), name: code === now ? "check" : null, onclick: () => choose(code) }),
  );
  openDialog(t("language.title"), [make("div", { class: "column" }, ...buttons)]);
}

/**
 * What is to be paid, once more. `isSent`: a receipt goes to the shop; `isLooking()`: whether something lies there that is not told yet, which is waited
 * for; `onSend(lines)` sends what is shown and returns a promise; `onDone()`: the visit is over. Returns what to call when one of these changes: nothing
 * is sent that was not shown.
 */
export function openFinish(basket, { isSent, isLooking, onSend, onDone, onHelp }) {
  const table = make("table", { class: "receipt" });
  const sum = make("div", {});
  const trouble = make("p", { class: "trouble", role: "alert" });
  const wait = make("p", { class: "note", role: "status" });
  const send = button(t("finish.send"), { kind: "first", name: "check", key: "send" });
  const back = button(t("finish.back"), { key: "back", onclick: closeDialog });
  const help = button(t("help.ask"), { name: "help", key: "help", kind: "quiet", onclick: onHelp });
  let lines = [];
  let isSending = false;
  const hold = (isHeld) => {
    isSending = send.disabled = back.disabled = help.disabled = isHeld;
    holdDialog(isHeld);
  };
  const show = () => {
    if (isSending || !table.isConnected) {
      return; // it is on its way, or the dialog shows something else by now
    }
    lines = basket.due;
    if (lines.length === 0) {
      closeDialog();
      return;
    }
    table.replaceChildren(make("caption", { class: "out-of-sight" }, t("basket.title")), make("tbody", {}, ...lines.map(row)));
    sum.replaceChildren(total(totalOf(lines), countOf(lines)));
    letWait(isLooking());
  };
  const letWait = (isWaiting) => {
    if (isWaiting && document.activeElement === send) {
      document.getElementById("dialog-title").focus(); // a button that waits cannot keep it
    }
    send.disabled = isWaiting;
    wait.hidden = !isWaiting;
    wait.textContent = isWaiting ? t("looking.more") : "";
  };
  send.addEventListener("click", async () => {
    hold(true); // one press, one receipt
    trouble.textContent = "";
    try {
      await onSend(lines);
    } catch (error) {
      trouble.textContent = t(error.status >= 400 && error.status < 500 ? "finish.refused" : "finish.failed");
      hold(false);
      show();
      send.focus();
      return;
    }
    hold(false);
    openThanks(isSent, onDone);
  });
  const ways = make("div", { class: "buttons" }, send, back, help);
  openDialog(t("finish.title"), [table, sum, trouble, wait, ways]);
  show();
  return show;
}

function row(line) {
  return make("tr", {}, make("td", {}, String(line.quantity), " ×"), make("th", { scope: "row" }, line.name), make("td", { class: "money" }, priceOf(line, line.quantity)));
}

function openThanks(isSent, onDone) {
  const next = button(t("thanks.next"), { kind: "first", key: "next", onclick: closeDialog });
  openDialog(t("thanks.title"), [make("div", { class: "plain good" }, icon("check"), make("p", { class: "big" }, t(isSent ? "thanks.words" : "thanks.unsent"))), make("div", { class: "buttons" }, next)], {
    onClose: onDone,
  });
}

const idle = () => document.getElementById("idle-dialog");

/** Ask whether anybody is there; `seconds` are left. `onStay()`, `onMore()`: longer from now on. */
export function showIdle(seconds, { onStay, onMore }) {
  const element = idle();
  if (!element.open) {
    element.replaceChildren(
      make("h2", { id: "idle-title", tabindex: "-1", autofocus: true }, t("idle.title")),
      make("p", { id: "idle-words" }, t("idle.words")),
      make("p", { class: "big", id: "idle-left", "aria-hidden": "true" }),
      make("div", { class: "buttons" }, button(t("idle.stay"), { kind: "first", key: "stay", onclick: onStay }), button(t("idle.more"), { key: "longer", onclick: onMore })),
    );
    element.oncancel = onStay;
    element.showModal();
  }
  document.getElementById("idle-left").textContent = t("idle.left", { count: seconds });
}

export function closeIdle() {
  if (idle().open) {
    idle().close();
  }
}
