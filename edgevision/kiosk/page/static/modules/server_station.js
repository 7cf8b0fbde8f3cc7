// Events of the camera in the server: GET /v1/events, opened again whenever it ends.
import { request } from "./api.js";
import { Backoff, Pause } from "./backoff.js";
import { readEvents } from "./event_stream.js";

const SILENT_MS = 45_000; // the server sends a comment more often than that; without one the connection is dead

export class ServerStation {
  #backoff = new Backoff();
  #pause = new Pause();
  #last = null; // id of the last event: what was missed since is sent again
  #stopped = false;
  #abort = null;

  /**
   * `onEvent(event, place, key)`: a Station's event, what tells its placement from all others, and what tells the event from all
   * others. `station`: whose events; null: all. `onConnection(state)`: {open: true} or {open: false, retryMs, error}.
   */
  constructor({ station, onEvent, onConnection }) {
    this.station = station;
    this.onEvent = onEvent;
    this.onConnection = onConnection;
  }

  async run() {
    while (!this.#stopped) {
      let error = null;
      try {
        await this.#readOnce();
      } catch (caught) {
        error = caught;
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
    this.#abort?.abort();
    this.#pause.wake();
  }

  async #readOnce() {
    this.#abort = new AbortController();
    let timer = setTimeout(() => this.#abort.abort(), SILENT_MS);
    const headers = { Accept: "text/event-stream" };
    if (this.#last !== null) {
      headers["Last-Event-ID"] = this.#last;
    }
    try {
      const response = await request("/v1/events", { headers, cache: "no-store", signal: this.#abort.signal });
      this.onConnection({ open: true });
      for await (const one of readEvents(response)) {
        clearTimeout(timer);
        timer = setTimeout(() => this.#abort.abort(), SILENT_MS);
        this.#backoff.reset();
        if (!one.comment) {
          this.#last = one.id ?? this.#last;
          this.#tell(one.data);
        }
      }
    } finally {
      clearTimeout(timer);
      this.#abort.abort();
    }
  }

  #tell(text) {
    const event = JSON.parse(text);
    const { id = "", station = "", placement = 0, at_s = 0 } = event;
    if (this.station !== null && event.stations) {
      event.stations = event.stations.filter((one) => one.station === this.station);
    }
    if (this.station !== null && station && station !== this.station) {
      return; // another till's
    }
    const run = id.split("-")[0]; // a service that was started again counts placements from 1 again
    const place = `${run}/${station}/${placement}`;
    this.onEvent(event, place, `${place}/${event.event}/${at_s}`);
  }
}
