// Events of the browser's own camera: its pictures go to WS /v1/station one by one, and the events come back.
import { Backoff, Pause } from "./backoff.js";
import { StationSocket } from "./station_socket.js";

const LEAST_MS = 66; // between two pictures: 15 a second are enough to see a hand

export class PageStation {
  #backoff = new Backoff();
  #pause = new Pause();
  #stopped = false;
  #socket = null;

  /** As of ServerStation. `onAnswer({ageMs, state})`: after each picture, `ageMs` since it was taken. `camera`: a PageCamera. */
  constructor({ camera, onEvent, onConnection, onAnswer }) {
    this.camera = camera;
    this.onEvent = onEvent;
    this.onConnection = onConnection;
    this.onAnswer = onAnswer;
  }

  async run() {
    while (!this.#stopped) {
      let error = null;
      try {
        this.#socket = await StationSocket.open();
        this.onConnection({ open: true });
        await this.#talk(this.#socket, `${Date.now()}-${Math.random().toString(36).slice(2)}`);
      } catch (caught) {
        error = caught;
      } finally {
        this.#socket?.close();
      }
      if (!this.#stopped) {
        const retryMs = this.#backoff.next();
        this.onConnection({ open: false, retryMs, error });
        await this.#pause.wait(retryMs);
      }
    }
  }

  /** Try again at once. */
  retry() {
    this.#pause.wake();
  }

  stop() {
    this.#stopped = true;
    this.#socket?.close();
    this.#pause.wake();
  }

  /** `connection`: its own name, for the server counts placements from 1 in each. */
  async #talk(socket, connection) {
    while (!this.#stopped) {
      const began = performance.now();
      const picture = this.camera.isOpen && !document.hidden ? await this.camera.picture() : null;
      if (picture) {
        const answer = await socket.ask(picture.blob);
        this.#backoff.reset();
        this.onAnswer({ ageMs: performance.now() - picture.takenMs, state: answer.state });
        for (const event of answer.events) {
          const place = `${connection}/${event.placement ?? 0}`;
          this.onEvent(event, place, `${place}/${event.event}/${event.at_s}`);
        }
      }
      const left = (picture ? LEAST_MS : 250) - (performance.now() - began);
      if (left > 0) {
        await new Promise((resolve) => setTimeout(resolve, left));
      }
    }
  }
}
