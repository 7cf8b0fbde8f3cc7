// Events of the browser's own camera: its pictures go to WS /v1/station one by one, and the events come back.
import { Reconnecting } from "./reconnecting.js";
import { StationSocket } from "./station_socket.js";

const LEAST_MS = 66; // between two pictures: 15 a second are enough to see a hand

export class PageStation {
  #connection;
  #socket = null;

  /** As of ServerStation. `onAnswer({ageMs, state})`: after each picture, `ageMs` since it was taken. `camera`: a PageCamera. */
  constructor({ camera, onEvent, onConnection, onAnswer }) {
    this.camera = camera;
    this.onEvent = onEvent;
    this.#connection = new Reconnecting(onConnection);
    this.onAnswer = onAnswer;
  }

  async run() {
    await this.#connection.run(async () => {
      try {
        const connection = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
        this.#socket = await StationSocket.open((event) => this.#tell(event, connection));
        this.#connection.opened();
        await this.#talk(this.#socket, connection);
      } finally {
        this.#socket?.close();
      }
    });
  }

  /** Try again at once. */
  retry() {
    this.#connection.retry();
  }

  stop() {
    this.#connection.stop();
    this.#socket?.close();
  }

  /** `connection`: the socket's own name, for the server counts placements from 1 in each. */
  async #talk(socket, connection) {
    while (!this.#connection.stopped) {
      const began = performance.now();
      const picture = this.camera.isOpen && !document.hidden ? await this.camera.picture() : null;
      if (picture) {
        const answer = await socket.ask(picture.blob);
        this.#connection.works();
        this.onAnswer({ ageMs: performance.now() - picture.takenMs, state: answer.state });
        for (const event of answer.events) {
          this.#tell(event, connection);
        }
      }
      const left = (picture ? LEAST_MS : 250) - (performance.now() - began);
      if (left > 0) {
        await new Promise((resolve) => setTimeout(resolve, left));
      }
    }
  }

  #tell(event, connection) {
    const place = `${connection}/${event.placement ?? 0}`;
    this.onEvent(event, place, `${place}/${event.event}/${event.at_s}`);
  }
}
