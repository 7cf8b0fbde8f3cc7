// A product that is being taught: WS /v1/gallery/teach. Pictures go out (or the service's own camera looks), views come back.
import { socketAt } from "./address.js";
import { token } from "./token.js";

const ANSWER_MS = 15_000;

export class Lesson {
  #socket;
  #picture = null; // {resolve, reject} of the picture that is under way
  #wish = null;

  /** `ofServer`: whether the camera is the service's; `station`: which, or null; `product`: of which more views are taken, null for a new one. `onTold(told)`: whatever comes; `onEnd()`. Throws where it fails. */
  static async open({ ofServer, station = null, product = null, onTold, onEnd }) {
    const query = new URLSearchParams({ camera: ofServer ? "service" : "page", ...(station ? { station } : {}), ...(product ? { product: String(product.id) } : {}) });
    const known = token();
    const socket = new WebSocket(socketAt(`/v1/gallery/teach?${query}`), known ? ["edgevision", `edgevision.token.${known}`] : ["edgevision"]);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = (event) => reject(new Error(event.reason || `the connection ended (${event.code})`));
    });
    return new Lesson(socket, onTold, onEnd);
  }

  constructor(socket, onTold, onEnd) {
    this.#socket = socket;
    socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if ("done" in told) {
        this.#wish?.resolve(told);
        this.#wish = null;
      } else if ("frame" in told) {
        this.#picture?.resolve(told);
        this.#picture = null;
      }
      onTold(told);
    };
    socket.onclose = (event) => {
      const error = new Error(event.reason || `the connection ended (${event.code})`);
      this.#wish?.reject(error);
      this.#picture?.reject(error);
      this.#wish = this.#picture = null;
      onEnd();
    };
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Show a picture, and wait for what came of it. */
  async show(jpeg) {
    return this.#asked((waiting) => (this.#picture = waiting), () => this.#socket.send(jpeg));
  }

  /** The service's own camera may look. */
  async begin() {
    return this.#wished({ do: "begin" });
  }

  /** The place is empty now: the camera may look, and learns it. */
  async empty() {
    return this.#wished({ do: "empty" });
  }

  async drop(source) {
    return this.#wished({ do: "drop", source });
  }

  /** {name, fields} of a new product; nothing of one that is there. What was saved: {id, name, added, sources, new}. Throws with the service's words. */
  async save(product) {
    const told = await this.#wished({ do: "save", ...product });
    if (told.error) {
      throw new Error(told.error);
    }
    return told.saved;
  }

  close() {
    this.#socket.close();
  }

  async #wished(wish) {
    return this.#asked((waiting) => (this.#wish = waiting), () => this.#socket.send(JSON.stringify(wish)));
  }

  async #asked(keep, send) {
    if (!this.isOpen) {
      throw new Error("the connection is closed");
    }
    let timer;
    return new Promise((resolve, reject) => {
      keep({ resolve, reject });
      timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
      send();
    }).finally(() => clearTimeout(timer));
  }
}
