// The products of the gallery, for staff: what there is, finding it, changing it, and teaching it before the camera.
import { getJson, refusalOf, request } from "./modules/api.js";
import { CameraStream } from "./modules/camera_stream.js";
import { changed, checkMayChange, forgotten, forgottenViews, foundByPicture, foundByWords, listed, taught } from "./modules/gallery.js";
import { bestOf, language, languages, t, translate, useLanguage } from "./modules/languages.js";
import { Lesson } from "./modules/lesson.js";
import { PageCamera } from "./modules/page_camera.js";
import { blobOf } from "./modules/pictures.js";
import { Preferences, SIZES } from "./modules/preferences.js";
import { say } from "./modules/speech.js";
import { Staff } from "./modules/staff.js";
import { keepToken, takeToken } from "./modules/token.js";
import { showCameraState } from "./views/camera_view.js";
import { openLanguages } from "./views/dialogs.js";
import { showNotice, wordsOf } from "./views/notice_view.js";
import { openProduct, showShelf } from "./views/shelf_view.js";
import { TeachView, wordsFor } from "./views/teach_view.js";
import { showStaffTools } from "./views/tools_view.js";

const TEACH = "edgevision.teach"; // the picture of what the till did not know
const TAUGHT = "edgevision.taught"; // for the till: the id of the product that it did not know
const TYPING_MS = 300;
const LEAST_MS = 100; // between two pictures that are shown: a product that is turned slowly changes no quicker
const SAY_MS = 3_000; // the same hint is not told again within so long
const NOTHING = { phase: "idle", views: [], wanted: 5, word: "", like: null, product: null, saved: null, trouble: "" };
const place = (id) => document.getElementById(id);

class Products {
  preferences = new Preferences();
  staff = new Staff({
    onForgotten: () => {
      this.#endLesson();
      say(t("staff.gone"));
      this.#load();
    },
    onIdle: () => this.#dropTills(),
  });
  products = [];
  found = 0;
  counts = null; // null until the service told it
  currency = null;
  notice = null;
  lesson = null;
  cameraFailed = false;
  state = NOTHING;
  toldWord = { word: "", ms: -Infinity };

  async start() {
    takeToken();
    [this.settings, this.languages] = await Promise.all([getJson("/page.json"), languages()]);
    await useLanguage(bestOf(this.languages, [this.preferences.get("language"), this.settings.language, ...navigator.languages]));
    this.teachView = new TeachView(place("teach"), {
      begin: () => this.#begin(null),
      empty: () => this.#empty(),
      inHand: () => this.#inHand(),
      drop: (view) => this.#drop(view),
      dropTill: () => {
        this.#dropTills();
        place("teach-title").focus();
      },
      save: (read) => this.#save(read),
      stop: () => this.#endLesson(),
      undo: (saved) => this.#undo(saved),
    });
    this.teachView.renew(null, null);
    document.querySelector(".way").search = location.search; // back to the till of the same station
    place("words").addEventListener("input", () => this.#typed());
    place("finder").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    place("by-picture").addEventListener("click", () => this.#searchByPicture());
    this.#watch();
    this.#look();
    this.#show();
    await this.#load();
    document.documentElement.dataset.ready = "";
  }

  // ---- what there is ----

  async #load() {
    await this.#tried(async () => {
      const { products, found, counts, currency } = await listed("");
      Object.assign(this, { products, found, counts, currency });
      this.notice = null;
      place("found").textContent = products.length ? "" : t("products.none");
    });
    this.#show();
  }

  async #more() {
    await this.#tried(async () => {
      const { products } = await listed("", this.products.length);
      this.products = [...this.products, ...products];
    });
    this.#show();
  }

  #typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#search(), TYPING_MS);
  }

  async #search() {
    clearTimeout(this.typing);
    const text = place("words").value.trim();
    if (!text) {
      await this.#load();
      return;
    }
    await this.#tried(async () => {
      const products = await foundByWords(text);
      if (place("words").value.trim() === text) {
        this.#showFound(products, t("search.found", { count: products.length }));
      }
    });
  }

  async #searchByPicture() {
    await this.#tried(async () => {
      const picture = await this.#picture();
      if (!picture) {
        place("found").textContent = t("products.no.picture");
        say(t("products.no.picture"), { urgent: true });
        return;
      }
      const { products, known } = await foundByPicture(picture);
      place("words").value = "";
      this.#showFound(products, known || !products.length ? t("search.found", { count: products.length }) : t("products.unlike"));
    });
  }

  #showFound(products, words) {
    this.products = products;
    this.found = products.length;
    place("found").textContent = words;
    say(words);
    this.#showShelf();
  }

  #open(product) {
    openProduct(product, this.currency, {
      change: async (wishes) => {
        await this.#asStaff(() => changed(product.id, wishes));
        say(t("product.saved"));
        await this.#search();
      },
      teach: () => this.#begin(product),
      forget: async () => {
        await this.#asStaff(() => forgotten(product.id));
        say(t("product.forgotten", { name: product.name }));
        await this.#search();
      },
    });
  }

  // ---- teaching ----

  async #begin(product) {
    if (this.lesson) {
      this.#endLesson();
    }
    this.#change({ ...NOTHING, product });
    try {
      await this.#asStaff(checkMayChange);
      const lesson = await Lesson.open({ ofServer: this.#ofServer, station: this.#station, product, onTold: (told) => this.#told(lesson, told), onEnd: () => this.#ended(lesson) });
      this.lesson = lesson;
    } catch (error) {
      if (!this.notice) {
        this.#change({ trouble: t("teach.failed", { reason: error.message }) });
      }
      return;
    }
    this.teachView.renew(product, this.currency);
    this.#change({ phase: "clear" });
    place("teach-title").focus();
    if (!this.#ofServer) {
      this.#showPictures(this.lesson);
    }
  }

  /** The browser's own camera: a picture, its answer, then the next. */
  async #showPictures(lesson) {
    while (this.lesson === lesson && lesson.isOpen) {
      const began = performance.now();
      try {
        const picture = this.camera.isOpen && !document.hidden && this.state.phase === "turn" ? await this.camera.picture() : null;
        if (picture) {
          await lesson.show(picture.blob);
        }
      } catch {
        // its end is told by itself
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, LEAST_MS - (performance.now() - began))));
    }
  }

  async #inHand() {
    this.#change({ phase: "turn" });
    await this.lesson?.begin().catch(() => {});
  }

  async #empty() {
    const lesson = this.lesson;
    this.#change({ phase: "turn" });
    await lesson?.empty().catch(() => {});
  }

  #told(lesson, { word, view, like, error, wanted }) {
    if (this.lesson !== lesson || this.state.phase !== "turn") {
      return;
    }
    const views = view ? [...this.state.views, view] : this.state.views;
    const trouble = error ?? (this.cameraFailed ? "" : this.state.trouble); // what was typed wrong stays to be read
    this.cameraFailed = error !== undefined;
    this.#change({ views, word: word ?? this.state.word, like: like ?? null, wanted: wanted ?? this.state.wanted, trouble });
    if (word) {
      this.#tell(word, view);
    }
  }

  /** For ears: each view, and a hint now and then. */
  #tell(word, view) {
    const now = performance.now();
    if (!view && (word === this.toldWord.word || now - this.toldWord.ms < SAY_MS)) {
      return;
    }
    this.toldWord = { word, ms: now };
    const count = t("teach.progress", { count: this.state.views.length, wanted: this.state.wanted });
    say(view ? `${count}. ${wordsFor(word)}` : wordsFor(word));
  }

  async #drop(view) {
    await this.lesson?.drop(view.source).catch(() => {});
    this.#change({ views: this.state.views.filter((one) => one.source !== view.source) });
    place("teach-title").focus();
  }

  async #save(read) {
    const { lesson } = this;
    try {
      const wishes = read();
      const saved = await lesson.save(wishes);
      tellTill(saved.id);
      const trouble = await this.#addTheTills(saved);
      this.lesson = null;
      lesson.close();
      this.#change({ ...NOTHING, saved, trouble });
      say(t("teach.saved", { name: saved.name, views: t("products.views", { count: saved.added }) }));
      place("teach-title").focus();
      await this.#search();
    } catch (error) {
      this.#change({ trouble: error.words ?? t("teach.failed", { reason: error.message }) });
    }
  }

  /** What lay before the till is a view too: the one that it did not know. Why it was not learnt, in words; "" where all is well. */
  async #addTheTills(saved) {
    const picture = blobOf(this.tills);
    this.tills = null;
    if (!picture || !saved.new) {
      return "";
    }
    try {
      await taught(saved.id, picture, "at the till");
      return "";
    } catch (error) {
      return t("teach.till.refused", { reason: error.message });
    }
  }

  #dropTills() {
    this.tills = null;
    this.#showTeach();
  }

  async #undo(saved) {
    try {
      await this.#asStaff(() => (saved.new ? forgotten(saved.id) : forgottenViews(saved.id, saved.sources)));
      untellTill(saved.id);
      this.#change(NOTHING);
      say(t("teach.undone", { name: saved.name }));
      await this.#search();
    } catch (error) {
      this.#change({ trouble: t("product.failed", { reason: error.message }) });
    }
  }

  #endLesson() {
    const { lesson } = this;
    this.lesson = null;
    lesson?.close();
    this.#change(NOTHING);
    place("teach-title").focus();
  }

  #ended(lesson) {
    if (this.lesson === lesson) {
      this.lesson = null;
      this.#change({ ...NOTHING, trouble: t("teach.lost") });
      say(t("teach.lost"), { urgent: true });
    }
  }

  #change(more) {
    this.state = { ...this.state, ...more };
    this.#showTeach();
  }

  // ---- the camera ----

  get #ofServer() {
    return this.settings.camera === "server";
  }

  get #station() {
    return new URLSearchParams(location.search).get("station");
  }

  #watch() {
    if (this.#ofServer) {
      this.film = new CameraStream(place("picture"), this.#station);
      this.film.run();
      this.#cameraState(null);
      return;
    }
    this.camera = new PageCamera(place("video"), this.settings.picture_px, (problem) => this.#cameraState(problem));
    this.#openCamera();
  }

  async #openCamera() {
    this.#cameraState("starting");
    try {
      await this.camera.open();
    } catch (problem) {
      this.#cameraState(problem);
    }
  }

  #cameraState(problem) {
    this.problem = problem;
    place("video").hidden = !this.camera?.isOpen;
    this.#showCamera();
  }

  /** What the camera shows now, as a JPEG; null where it gives none. */
  async #picture() {
    if (!this.#ofServer) {
      return (await this.camera.picture())?.blob ?? null;
    }
    const query = new URLSearchParams({ as: "picture", ...(this.#station ? { station: this.#station } : {}) });
    return (await request(`/v1/camera?${query}`)).blob();
  }

  // ---- who may ----

  /** Do it; where the service refuses, say so above all. */
  async #tried(work) {
    try {
      await work();
    } catch (error) {
      this.#refused(error);
    }
  }

  async #asStaff(work) {
    try {
      return await work();
    } catch (error) {
      this.#refused(error, "staff");
      throw error;
    }
  }

  /** `wanted`: what is asked for where a token lacks, "pairing" or "staff". */
  #refused(error, wanted = "pairing") {
    const refusal = refusalOf(error);
    if (error.status === 404 && this.counts === null) {
      place("found").textContent = t("products.off");
      return;
    }
    this.notice = refusal?.kind === "pairing" ? { kind: wanted } : refusal ?? (error.status === 0 ? { kind: "lost" } : null);
    if (!this.notice) {
      place("found").textContent = t("product.failed", { reason: error.message });
      return;
    }
    this.#showNotice();
    say(wordsOf(this.notice), { urgent: true });
    place("token")?.focus();
  }

  #pair(token) {
    if (this.notice?.kind === "staff") {
      this.staff.come(token);
    } else {
      keepToken(token);
    }
    this.notice = null;
    this.film?.retry();
    this.#load();
  }

  // ---- how it looks ----

  #look() {
    const root = document.documentElement;
    root.dataset.text = String(Math.round(this.preferences.get("text") * 100));
    root.dataset.contrast = this.preferences.get("contrast") ? "high" : "normal";
  }

  #set(name, value) {
    this.preferences.set(name, value);
    this.#look();
    this.#showTools();
  }

  #show() {
    document.title = t("products.title");
    translate(document.body);
    this.#showTools();
    this.#showCamera();
    this.#showNotice();
    this.#showTeach();
    this.#showShelf();
    place("count").textContent = this.counts === null ? "" : t("products.count", { count: this.counts.products });
    place("picture").alt = t("camera.picture");
  }

  #showShelf() {
    showShelf(place("shelf"), this.products, this.found - this.products.length, { open: (product) => this.#open(product), more: () => this.#more() });
  }

  #showTeach() {
    const { product, phase } = this.state;
    place("page").dataset.teaching = phase;
    place("teach-title").textContent = product ? t("teach.title.more", { name: product.name }) : t("teach.title");
    this.teachView.show({ ...this.state, till: product ? null : this.tills }); // it is of a new product
  }

  #showCamera() {
    showCameraState(place("camera"), this.problem ?? null, {
      retry: () => this.#openCamera(),
      otherCamera: () => {
        PageCamera.forget();
        this.#openCamera();
      },
    });
  }

  #showNotice() {
    showNotice(place("notice"), this.notice, { retry: () => this.#load(), pair: (token) => this.#pair(token) });
  }

  #showTools() {
    showStaffTools(place("tools"), this.preferences, this.languages.find((one) => one.code === language()).name, {
      language: () => openLanguages(this.languages, language(), async (code) => {
        await useLanguage(code);
        this.preferences.set("language", code);
        this.teachView.renew(this.state.product, this.currency);
        this.#show();
      }),
      size: (step) => {
        const at = Math.max(0, Math.min(SIZES.length - 1, SIZES.indexOf(this.preferences.get("text")) + step));
        this.#set("text", SIZES[at]);
        say(t("say.size", { percent: Math.round(SIZES[at] * 100) }));
      },
      contrast: () => this.#set("contrast", !this.preferences.get("contrast")),
    });
  }

  /** The picture that the till did not know, if staff came from there. */
  tills = taken();
}

function taken() {
  try {
    const picture = sessionStorage.getItem(TEACH);
    sessionStorage.removeItem(TEACH);
    return blobOf(picture) ? picture : null;
  } catch {
    return null;
  }
}

/** The first one is what staff came for. */
function tellTill(id) {
  try {
    if (sessionStorage.getItem(TAUGHT) === null) {
      sessionStorage.setItem(TAUGHT, JSON.stringify(id));
    }
  } catch {
    // storage is blocked: the till keeps no question over this page
  }
}

function untellTill(id) {
  try {
    if (sessionStorage.getItem(TAUGHT) === JSON.stringify(id)) {
      sessionStorage.removeItem(TAUGHT);
    }
  } catch {
    // storage is blocked
  }
}

new Products().start();
