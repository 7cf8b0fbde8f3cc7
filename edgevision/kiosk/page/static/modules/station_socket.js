// One connection to WS /v1/station: a JPEG goes out, an answer comes back, then the next. News of the service come in between.
import { socketAt } from "./address.js";
import { token } from "./token.js";

const ANSWER_MS = 10_000;

export class StationSocket {
  #socket;
  #waiting = null;

  /** Open it. `onNews(event)`: what the service tells all pages, such as new prices. Throws where that fails. */
  static async open(onNews) {
    const known = token();
    const protocols = known ? ["edgevision", `edgevision.token.${known}`] : ["edgevision"];
    const socket = new WebSocket(socketAt("/v1/station"), protocols);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = (event) => reject(closed(event));
    });
    return new StationSocket(socket, onNews);
  }

  constructor(socket, onNews) {
    this.#socket = socket;
    socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if (!("frame" in told)) {
        onNews(told);
        return;
      }
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(told);
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
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
      this.#socket.send(jpeg);
    }).finally(() => clearTimeout(timer));
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
