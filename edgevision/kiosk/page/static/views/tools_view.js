// The bar of helps: language, size of text, contrast, speech, staff. At the bottom, where everybody reaches it.
import { icon, make, replace } from "../modules/dom.js";
import { t } from "../modules/languages.js";
import { SIZES } from "../modules/preferences.js";
import { canSpeak } from "../modules/speech.js";

/** `does`: language(), size(step), contrast(), speech(), help(). */
export function showTools(container, preferences, languageName, does) {
  replace(container, [
    ...looks(preferences, languageName, does),
    tool("speech", t("speech"), "speech", does.speech, { "aria-pressed": String(preferences.get("speech")), disabled: !canSpeak() }),
    tool("help", t("help.ask"), "help", does.help, {}),
  ]);
}

/** Those that staff needs: language(), size(step), contrast(). */
export function showStaffTools(container, preferences, languageName, does) {
  replace(container, looks(preferences, languageName, does));
}

function looks(preferences, languageName, does) {
  const size = SIZES.indexOf(preferences.get("text"));
  return [
    tool("language", languageName, "language", does.language, { "aria-label": `${t("language.title")}: ${languageName}` }),
    tool("smaller", t("text.smaller"), "smaller", () => does.size(-1), { disabled: size <= 0 }),
    tool("larger", t("text.larger"), "larger", () => does.size(1), { disabled: size >= SIZES.length - 1 }),
    tool("contrast", t("contrast"), "contrast", does.contrast, { "aria-pressed": String(preferences.get("contrast")) }),
  ];
}

function tool(name, words, key, onclick, attributes) {
  return make("button", { type: "button", class: `tool ${key === "help" ? "call" : ""}`, "data-key": `tool-${key}`, onclick, ...attributes }, icon(name), make("span", {}, words));
}
