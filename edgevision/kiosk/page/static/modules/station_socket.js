// One connection to WS /v1/station: a JPEG goes out, an answer comes back, then the next.
import { socketAt } from "./address.js";
import { token } from "./token.js";

const ANSWER_MS = 10_000;

export class StationSocket {
  #socket;
  #waiting = null;

  /** Open it. Throws where that fails. */
  static async open() {
    const known = token();
    const protocols = known ? ["edgevision", `edgevision.token.${known}`] : ["edgevision"];
    const socket = new WebSocket(socketAt("/v1/station"), protocols);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = (event) => reject(closed(event));
    });
    return new StationSocket(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = (message) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(message.data);
    };
    socket.onclose = (event) => {
      this.#waiting?.reject(closed(event));
      this.#waiting = null;
    };
  }

  /** Send a picture. Its answer: {frame, age_ms, state, events}. Throws where the connection ends or no answer comes. */
  async ask(jpeg) {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      throw new Error("the connection is closed");
    }
    let timer;
    const text = await new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
      this.#socket.send(jpeg);
    }).finally(() => clearTimeout(timer));
    return JSON.parse(text);
  }

  close() {
    this.#socket.close();
  }
}

function closed(event) {
  const error = new Error(event.reason || `the connection ended (${event.code})`);
  error.wantsToken = event.code === 1008 || event.code === 3000 || event.code === 3003;
  return error;
}
