// The operator's view: GET /v1/status, again and again while somebody looks.
import { getJson, refusalOf } from "./modules/api.js";
import { make } from "./modules/dom.js";
import { useLanguage } from "./modules/languages.js";
import { keepToken, takeToken } from "./modules/token.js";
import { showNotice } from "./views/notice_view.js";

const EVERY_MS = 2_000;
const place = (id) => document.getElementById(id);

/** A value as people read it; a dash for what is not known. */
function words(value) {
  if (value === null || value === undefined || value === "") {
    return "–";
  }
  if (Array.isArray(value)) {
    return value.map(words).join(", ") || "–";
  }
  if (typeof value === "object") {
    return Object.entries(value).map(([name, one]) => `${name.replaceAll("_", " ")} ${words(one)}`).join(" · ") || "–";
  }
  return String(value);
}

function facts(rows) {
  return make("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, words(value))]));
}

function card(title, ...nodes) {
  return make("section", { class: "card" }, make("h2", {}, title), ...nodes);
}

function modelCard(model) {
  const proof = model.proven ? "proven" : "not proven";
  return card(`Model ${model.name}`, facts([
    ["proof", model.verdict ? `${proof}: ${model.verdict}` : proof],
    ["id", model.id],
    ["task", model.kind],
    ["variant", model.variant],
    ["threads", model.threads],
    ["products", model.labels],
  ]));
}

function cameraCard(camera) {
  const age = camera.age_ms === null ? null : `${(camera.age_ms / 1000).toFixed(2)} s`;
  return card(`Camera ${camera.name}`, facts([
    ["state", camera.words ? `${camera.camera}: ${camera.words}` : camera.camera],
    ["since", `${camera.since_s} s`],
    ["frames a second", camera.fps],
    ["age of a frame", age],
    ["what it sees", camera.place],
  ]));
}

function errorCard(errors) {
  const list = errors.map((one) => make("li", {}, make("time", { datetime: one.at }, new Date(one.at).toLocaleString()), ` ${one.words}`));
  return card("Last errors", list.length ? make("ul", {}, ...list) : make("p", {}, "none"));
}

const OWN = new Set(["models", "cameras", "errors"]);

function show(status) {
  const rest = Object.entries(status).filter(([name]) => !OWN.has(name)).map(([name, value]) => [name.replaceAll("_", " "), value]);
  const cameras = status.cameras ?? [];
  place("status").replaceChildren(
    ...(status.models ?? []).map(modelCard),
    ...cameras.map(cameraCard),
    ...(cameras.length ? [] : [card("Cameras", make("p", {}, "none in the service; pages may use their own"))]),
    errorCard(status.errors ?? []),
    card("Service", facts(rest)),
  );
}

let timer;

async function ask() {
  clearTimeout(timer);
  let notice = null;
  if (!document.hidden) {
    try {
      show(await getJson("/v1/status"));
      place("state").textContent = `As of ${new Date().toLocaleTimeString()}`;
    } catch (error) {
      notice = refusalOf(error) ?? { kind: "lost" };
    }
    showNotice(place("notice"), notice, { retry: ask, pair });
  }
  timer = setTimeout(ask, EVERY_MS);
}

function pair(token) {
  keepToken(token);
  ask();
}

takeToken();
await useLanguage("en");
ask();
