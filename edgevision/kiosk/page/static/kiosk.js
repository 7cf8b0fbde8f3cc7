// The kiosk: puts the parts together, and says what happens when.
import { at } from "./modules/address.js";
import { getJson, postJson, refusalOf, request } from "./modules/api.js";
import { Backoff } from "./modules/backoff.js";
import { Basket, without } from "./modules/basket.js";
import { CameraStream } from "./modules/camera_stream.js";
import { Catalogue } from "./modules/catalogue.js";
import { Idle } from "./modules/idle.js";
import { bestOf, language, languages, load, t, translate, useLanguage } from "./modules/languages.js";
import { PageCamera } from "./modules/page_camera.js";
import { PageStation } from "./modules/page_station.js";
import { blobOf } from "./modules/pictures.js";
import { Preferences, SIZES } from "./modules/preferences.js";
import { ServerStation } from "./modules/server_station.js";
import { say, speakFromNowOn } from "./modules/speech.js";
import { Store } from "./modules/store.js";
import { holdCamera } from "./modules/tabs.js";
import { keepToken, takeToken } from "./modules/token.js";
import { isTooLate, Visit } from "./modules/visit.js";
import { showBasket } from "./views/basket_view.js";
import { showAge, showCameraState } from "./views/camera_view.js";
import { isDialogOpen } from "./views/dialog.js";
import { closeIdle, openFinish, openHelp, openLanguages, showIdle } from "./views/dialogs.js";
import { showNotice, wordsOf } from "./views/notice_view.js";
import { priceOf } from "./views/parts.js";
import { showResult } from "./views/result_view.js";
import { openSearch } from "./views/search_view.js";
import { showTools } from "./views/tools_view.js";

const RELOAD_MS = 10 * 60_000; // prices change while the page stays open
const MORE_TIME = 5; // times as long
const LYING = "edgevision.lying";
const QUESTIONS = "edgevision.questions";
const TEACH = "edgevision.teach"; // the picture of what was not known, for the page of staff
const TAUGHT = "edgevision.taught"; // the id of the product that staff taught there
const REMEMBERED_MS = 60_000;
const place = (id) => document.getElementById(id);

class Kiosk {
  preferences = new Preferences();
  catalogue = new Catalogue();
  visit = new Visit();
  basket = new Basket(new Store("edgevision.basket", () => this.#basketChanged()), () => this.#basketChanged());
  cameraProblem = "starting";
  connected = true;
  refusal = null; // null, or the notice: the service wants another token
  hasList = false;
  basketShown = () => {}; // draws the basket in the dialog at the end of the visit
  shopperSinceMs = -Infinity; // when the last one left
  ageShownMs = 0;
  answering = false; // the shopper went back to a question while the next product lies there

  async start() {
    takeToken();
    addEventListener("hashchange", () => takeToken() && this.#paired()); // into the address of a page that is open
    this.#remember();
    [this.settings, this.languages] = await untilItWorks(() => Promise.all([getJson("/page.json"), languages()]));
    const wishes = [this.preferences.get("language"), this.settings.language, ...navigator.languages];
    await untilItWorks(() => useLanguage(bestOf(this.languages, wishes)));
    const idleS = this.settings.idle_s * (this.preferences.get("moreTime") ? MORE_TIME : 1);
    const isLongAway = this.awayMs > idleS * 1000; // nobody was asked meanwhile whether they are still there
    if (isLongAway) {
      this.visit.questions = [];
    }
    this.#look();
    this.#show();
    this.idle = new Idle({
      idleS,
      warnS: this.settings.warn_s,
      isBusy: () => this.basket.count > 0 || this.visit.questions.length > 0 || isDialogOpen() || this.#isAltered(),
      onWarn: (seconds) => this.#warn(seconds),
      onStay: closeIdle,
      onLeft: () => this.#nextShopper(),
    });
    if (isLongAway) {
      this.idle.ask();
    }
    place("undo").addEventListener("click", () => this.#undo());
    this.#keepList();
    this.#watch();
    Promise.allSettled(this.languages.map((one) => load(one.code)));
    document.documentElement.dataset.ready = "";
  }

  /** What lies there outlives a reload: it was added already. So do open questions: somebody was at the page of staff. */
  #remember() {
    const lay = kept(LYING);
    if (lay && Date.now() - lay.atMs < REMEMBERED_MS) {
      this.visit.recall(lay);
    }
    const asked = taken(QUESTIONS);
    this.visit.questions = asked?.questions ?? [];
    this.awayMs = asked ? Date.now() - asked.atMs : 0;
    this.visit.backFromStaff(taken(TAUGHT));
    this.visit.settle((key) => this.basket.has(key)); // answered in another tab meanwhile
    addEventListener("pagehide", () => {
      keep(LYING, { ...this.visit.kept, atMs: Date.now() });
      const { questions } = this.visit;
      const bare = questions.map((one) => ({ ...one, picture: null }));
      keep(QUESTIONS, { questions, atMs: Date.now() }) || keep(QUESTIONS, { questions: bare, atMs: Date.now() }); // too large with pictures
    });
  }

  // ---- where events come from ----

  #watch() {
    const hears = {
      onEvent: (event, placement, key) => this.#take(event, placement, key),
      onConnection: (state) => this.#connection(state),
    };
    if (this.settings.camera === "server") {
      const station = new URLSearchParams(location.search).get("station");
      this.station = new ServerStation({ station, ...hears });
      this.station.run();
      this.#cameraState(null);
      this.film = new CameraStream(place("picture"), station);
      this.film.run();
      return;
    }
    const camera = new PageCamera(place("video"), this.settings.picture_px, (problem) => this.#cameraState(problem));
    this.camera = camera;
    const begin = () => {
      this.station = new PageStation({ camera, ...hears, onAnswer: ({ ageMs }) => this.#age(ageMs) });
      this.station.run();
      this.#openCamera();
    };
    const end = () => {
      this.station?.stop();
      camera.close();
      this.#cameraState("other-tab");
    };
    this.takeOver = holdCamera({ onHeld: begin, onTaken: end, onWaiting: end });
    navigator.mediaDevices?.addEventListener("devicechange", () => {
      if (this.cameraProblem?.kind && !camera.isOpen) {
        this.#openCamera(); // it was plugged in
      }
    });
  }

  async #openCamera() {
    if (this.opening) {
      return;
    }
    this.opening = true;
    this.#cameraState("starting");
    try {
      await this.camera.open();
    } catch (problem) {
      this.#cameraState(problem);
    } finally {
      this.opening = false;
    }
  }

  #cameraState(problem) {
    this.cameraProblem = problem;
    place("video").hidden = !this.camera?.isOpen;
    this.#showCamera();
    this.basketShown();
    if (problem?.kind) {
      say(`${t(`camera.${problem.kind}`)} ${t(`camera.${problem.kind}.cure`)}`, { urgent: true });
    }
  }

  #connection({ open, error }) {
    const ofServer = this.settings.camera === "server";
    const refusal = refusalOf(error);
    if (open || ofServer || refusal) {
      this.refusal = refusal;
    }
    if (!open && !ofServer) {
      this.#keepList(); // a WebSocket does not say why it was refused; a request does
    }
    if (open) {
      this.visit.carry(performance.now());
      if (!this.hasList) {
        this.#keepList();
      }
    }
    if (this.connected !== open) {
      this.connected = open;
      say(open ? t("found.again") : wordsOf(this.refusal ?? { kind: "lost" }), { urgent: !open });
    }
    this.#showNotice();
    this.#showResult();
  }

  async #keepList() {
    clearTimeout(this.listTimer);
    try {
      await this.catalogue.load();
      if (!this.hasList) {
        this.hasList = true;
        this.refusal = null;
        this.station?.retry();
      }
    } catch (error) {
      this.refusal = refusalOf(error);
    }
    clearTimeout(this.listTimer); // of another call that was under way
    this.listTimer = setTimeout(() => this.#keepList(), this.hasList ? RELOAD_MS : 3_000);
    await this.basket.price((line) => this.catalogue.of(line)); // taught, or priced, after it was added
    this.#show();
  }

  // ---- events ----

  async #take(event, placement, key) {
    if (isTooLate(event, performance.now(), this.shopperSinceMs)) {
      return;
    }
    if (event.event === "placed" || event.event === "removed") {
      this.idle?.stay();
    }
    this.answering &&= event.event !== "placed";
    const before = this.visit.questions.length;
    const blockedBefore = this.visit.blocked;
    const product = this.visit.take(event, placement, key, performance.now());
    this.visit.settle((one) => this.basket.has(one)); // answered before, here or in another tab
    if (product) {
      await this.#add(product, key);
    }
    const { blocked } = this.visit;
    if (blocked !== blockedBefore) {
      this.#showNotice();
      say(blocked ? wordsOf({ kind: "blocked", reason: blocked }) : t("sees.again"), { urgent: blocked !== null });
    }
    if (event.event === "model-changed" || event.event === "prices-changed" || event.event === "products-changed") {
      this.#keepList();
    }
    this.#showResult();
    if (this.visit.questions.length > before) {
      this.#toldOfQuestion();
    }
  }

  async #add(product, key) {
    await this.#settleTaught(product.id);
    if (!(await this.basket.add(this.catalogue.of(product), key))) {
      return;
    }
    if (!this.catalogue.has(product.id)) {
      await this.#keepList(); // it is newer than the list
    }
    const found = this.catalogue.of(product);
    say(t("say.added", { name: found.name, price: priceOf(found) }));
  }

  /** What was taught meanwhile is known now, and counts by itself: the question about it is not answered as well. */
  async #settleTaught(id) {
    const asked = this.visit.askedBeforeTeaching(id);
    if (asked) {
      this.visit.answer(asked, null);
      await this.basket.settle(asked.key);
    }
  }

  #toldOfQuestion() {
    const { kind, choices } = this.visit.questions[0];
    const names = new Intl.ListFormat(language(), { type: "disjunction" }).format(choices.map((one) => this.catalogue.of(one).name));
    say(kind === "unsure" ? t("say.which", { names }) : t("say.unknown"), { urgent: true });
    const focused = document.activeElement;
    if (!isDialogOpen() && (focused === document.body || place("result").contains(focused))) {
      place("question")?.focus({ preventScroll: false }); // whoever is busy elsewhere is not torn away
    }
  }

  // ---- what the shopper does ----

  async #choose(question, product, { teach = true } = {}) {
    this.visit.answer(question, product);
    await this.#add(product, question.key);
    this.#show();
    this.#afterAnswer();
    if (teach) {
      this.#teach(product.id, question);
    }
  }

  /** Staff teaches what is not known; the basket and the question stay. */
  #showStaff(question) {
    this.visit.showStaff(question);
    try {
      sessionStorage.removeItem(TAUGHT);
      sessionStorage.setItem(TEACH, question.picture ?? "");
    } catch {
      // they turn it before the camera
    }
    location.href = at("products") + location.search; // of the same station
  }

  async #dismiss(question) {
    this.visit.answer(question, null);
    await this.basket.settle(question.key);
    say(t("say.not.added"));
    this.#show();
    this.#afterAnswer();
  }

  /** The next question, or what comes after the last, gets the focus. */
  #afterAnswer() {
    if (document.activeElement === document.body || document.activeElement === place("result")) {
      (place("question") ?? place("result").querySelector("button") ?? place("basket-title")).focus();
    }
  }

  #search(question) {
    openSearch(this.catalogue, {
      title: t("search.title"),
      onChoose: (product) => (question ? this.#choose(question, product) : this.#addByHand(product)),
      onHelp: () => this.#help(),
    });
  }

  #none(question) {
    openSearch(this.catalogue, {
      title: t("search.title"),
      onChoose: (product) => this.#choose(question, product),
      onHelp: () => this.#help(),
    });
  }

  #wrong(product) {
    const lying = this.visit.lying;
    openSearch(this.catalogue, {
      title: t("wrong.title"),
      first: (lying?.alternatives ?? []).map((one) => this.catalogue.of(one)).filter((one) => one.id !== product.id),
      onChoose: async (right) => {
        await this.basket.correct(product, right);
        if (lying) {
          this.visit.correct(lying.place, right);
        }
        say(t("say.corrected", { wrong: product.name, right: right.name }));
        this.#show();
        this.#teach(right.id, lying);
      },
      onHelp: () => this.#help(),
    });
  }

  async #addByHand(product) {
    await this.basket.add(product);
    say(t("say.added", { name: product.name, price: priceOf(product) }));
  }

  /** The shopper's answer, with the picture that it was about: what the next model learns from. The shopper does not wait for it. */
  async #teach(label, about) {
    const picture = blobOf(about?.picture);
    if (!picture || this.catalogue.features.feedback === false) {
      return;
    }
    const query = new URLSearchParams({ label: String(label), placement: about.place.split("/").at(-1) });
    if (about.station) {
      query.set("station", about.station);
    }
    try {
      await request(`/v1/feedback?${query}`, { method: "POST", body: picture, headers: { "Content-Type": picture.type } });
    } catch (error) {
      console.warn("the correction was not kept:", error.message);
    }
  }

  async #undo() {
    await this.basket.undo();
    say(t("say.undone", { items: t("items", { count: this.basket.count }) }));
  }

  async #count(change, line) {
    await change();
    const now = this.basket.lines.find((one) => one.id === line.id)?.quantity ?? 0;
    say(now ? t("say.quantity", { name: line.name, count: now }) : t("say.removed", { name: line.name }));
  }

  #finish() {
    this.basketShown = openFinish(this.basket, {
      isSent: this.catalogue.features.receipts !== false,
      isLooking: () => this.#isLooking(),
      onSend: (lines) => this.#send(lines),
      onDone: () => this.#asNew(),
      onHelp: () => this.#help(),
    });
  }

  /** Whether an answer is to come for what lies there: none does while the camera sees nothing, or nothing is heard of it. */
  #isLooking() {
    return this.visit.isLooking && this.visit.blocked === null && this.connected && this.cameraProblem === null;
  }

  /** The visit is over with this: what is placed from now on is the next shopper's. */
  async #send(lines) {
    const nowMs = performance.now();
    const { questions } = this.visit;
    const left = this.visit.leave();
    try {
      await this.#pay(lines);
    } catch (error) {
      for (const [event, where, key] of this.visit.stay(left)) {
        const product = this.visit.take(event, where, key, performance.now());
        if (product) {
          await this.#add(product, key);
        }
      }
      this.#show();
      throw error;
    }
    say(t("thanks.title"));
    this.shopperSinceMs = nowMs;
    await this.#dropQuestions(questions);
  }

  /** By one receipt; by two where one had no answer before: that one as it was, then the rest. */
  async #pay(lines) {
    if (this.catalogue.features.receipts === false) {
      await this.basket.paid({ key: null, lines });
      return;
    }
    let rest = lines;
    while (rest.length > 0) {
      const receipt = await this.basket.receipt(rest, new Date());
      await this.#post(receipt);
      await this.basket.paid(receipt);
      rest = without(rest, receipt.lines);
    }
  }

  async #post({ key, body }) {
    try {
      await postJson("/v1/receipts", body, { "Idempotency-Key": key });
    } catch (error) {
      if (error.isRefusal) {
        await this.basket.refused();
      }
      throw error;
    }
  }

  #help() {
    openHelp();
    say(t("help.words"), { urgent: true });
  }

  // ---- time ----

  #warn(seconds) {
    const first = !place("idle-dialog").open;
    showIdle(seconds, {
      onStay: () => this.idle.stay(),
      onMore: () => {
        this.preferences.set("moreTime", true);
        this.idle.idleS = this.settings.idle_s * MORE_TIME;
        this.idle.stay();
      },
    });
    if (first || seconds === 10) {
      say(`${t("idle.title")} ${t("idle.words")}`, { urgent: true });
    }
  }

  async #nextShopper() {
    this.shopperSinceMs = performance.now();
    this.visit.leave();
    closeIdle();
    place("dialog").close();
    await this.#dropQuestions(this.visit.questions);
    await this.basket.clear();
    await this.#asNew();
  }

  async #dropQuestions(questions) {
    for (const question of questions) {
      await this.basket.settle(question.key);
      this.visit.answer(question, null);
    }
  }

  /** The page as the next shopper finds it. */
  async #asNew() {
    this.preferences.reset();
    this.idle.idleS = this.settings.idle_s;
    await useLanguage(bestOf(this.languages, [this.settings.language, ...navigator.languages]));
    this.#look();
    this.#show();
    scrollTo(0, 0);
  }

  // ---- how it looks ----

  #isAltered() {
    const { preferences } = this;
    return preferences.get("text") !== 1 || preferences.get("contrast") || preferences.get("speech") || preferences.get("language") !== null;
  }

  #look() {
    const root = document.documentElement;
    root.dataset.text = String(Math.round(this.preferences.get("text") * 100));
    root.dataset.contrast = this.preferences.get("contrast") ? "high" : "normal";
    speakFromNowOn(this.preferences.get("speech"));
  }

  #set(name, value) {
    this.preferences.set(name, value);
    this.#look();
    this.#showTools();
  }

  #size(step) {
    const at = Math.max(0, Math.min(SIZES.length - 1, SIZES.indexOf(this.preferences.get("text")) + step));
    this.#set("text", SIZES[at]);
    say(t("say.size", { percent: Math.round(SIZES[at] * 100) }));
  }

  async #useLanguage(code) {
    await useLanguage(code);
    this.preferences.set("language", code);
    this.#show();
    say(this.#languageName());
  }

  #languageName() {
    return this.languages.find((one) => one.code === language()).name;
  }

  #age(ageMs) {
    const now = performance.now();
    if (now - this.ageShownMs > 500) {
      this.ageShownMs = now;
      showAge(place("age"), ageMs, language());
    }
  }

  #basketChanged() {
    this.visit.settle((key) => this.basket.has(key));
    if (this.settings) {
      this.#showBasket();
      this.#showResult();
    }
  }

  #show() {
    document.title = this.settings.title || t("title");
    place("title").textContent = this.settings.title || t("title");
    translate(document.body);
    this.#showTools();
    this.#showCamera();
    this.#showNotice();
    this.#showResult();
    this.#showBasket();
  }

  #showTools() {
    showTools(place("tools"), this.preferences, this.#languageName(), {
      language: () => openLanguages(this.languages, language(), (code) => this.#useLanguage(code)),
      size: (step) => this.#size(step),
      contrast: () => this.#set("contrast", !this.preferences.get("contrast")),
      speech: () => {
        this.#set("speech", !this.preferences.get("speech"));
        say(t(this.preferences.get("speech") ? "say.speech.on" : "say.speech.off"));
      },
      help: () => this.#help(),
    });
  }

  #showCamera() {
    showCameraState(place("camera"), this.cameraProblem, {
      retry: () => this.#openCamera(),
      otherCamera: () => {
        PageCamera.forget();
        this.#openCamera();
      },
      takeOver: () => this.takeOver(),
    });
    place("picture").alt = t("camera.picture");
  }

  #showNotice() {
    let notice = null;
    if (this.refusal) {
      notice = this.refusal;
    } else if (!this.connected) {
      notice = { kind: "lost" };
    } else if (this.visit.blocked) {
      notice = { kind: "blocked", reason: this.visit.blocked };
    }
    showNotice(place("notice"), notice, {
      retry: () => {
        this.station?.retry();
        this.film?.retry();
      },
      pair: (token) => {
        keepToken(token);
        this.#paired();
      },
    });
  }

  #paired() {
    this.refusal = null;
    this.hasList = false; // so that it is asked for until this token gets it
    this.#keepList();
    this.station?.retry();
    this.film?.retry();
  }

  #showResult() {
    const question = this.visit.asking(this.answering);
    place("page").dataset.asking = question?.kind ?? "";
    showResult(place("result"), {
      visit: this.visit,
      question,
      catalogue: this.catalogue,
      isInBasket: (product) => this.basket.lines.some((line) => line.id === product.id),
      does: {
        choose: (question, product) => this.#choose(question, product),
        none: (question) => this.#none(question),
        search: (question) => this.#search(question),
        help: () => this.#help(),
        more: (product) => this.#addByHand(product),
        wrong: (product) => this.#wrong(product),
        dismiss: (question) => this.#dismiss(question),
        teach: (question) => this.#showStaff(question),
        answer: () => {
          this.answering = true;
          this.#showResult();
          place("question").focus();
        },
      },
    });
    this.basketShown();
  }

  #showBasket() {
    const parts = { lines: place("lines"), sum: place("sum"), undo: place("undo") };
    showBasket(parts, this.basket, this.catalogue, {
      more: (line) => this.#count(() => this.basket.more(line.id), line),
      less: (line) => this.#count(() => this.basket.takeAway(line.id), line),
      remove: (line) => this.#count(() => this.basket.takeAway(line.id, line.quantity), line),
      finish: () => this.#finish(),
    });
  }
}

/** A value of this tab that was kept; null where none was. */
function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null; // storage is blocked
  }
}

/** As `kept`, and kept no more. */
function taken(name) {
  const value = kept(name);
  try {
    sessionStorage.removeItem(name);
  } catch {
    // storage is blocked
  }
  return value;
}

/** Whether there was room for it. */
function keep(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false; // full, or blocked
  }
}

/** Again and again, for the service may start after the page. */
async function untilItWorks(work) {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await work();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    }
  }
}

new Kiosk().start();
