// Events of the camera in the server: GET /v1/events, opened again whenever it ends.
import { request } from "./api.js";
import { readEvents } from "./event_stream.js";
import { Reconnecting } from "./reconnecting.js";

const SILENT_MS = 45_000; // the server sends a comment more often than that; without one the connection is dead

export class ServerStation {
  #connection;
  #last = null; // id of the last event: what was missed since is sent again
  #abort = null;

  /**
   * `onEvent(event, place, key)`: a Station's event, what tells its placement from all others, and what tells the event from all
   * others. `station`: whose events; null: all. `onConnection(state)`: {open: true} or {open: false, retryMs, error}.
   */
  constructor({ station, onEvent, onConnection }) {
    this.station = station;
    this.onEvent = onEvent;
    this.#connection = new Reconnecting(onConnection);
  }

  async run() {
    await this.#connection.run(() => this.#readOnce());
  }

  /** Try again at once. */
  retry() {
    this.#connection.retry();
  }

  stop() {
    this.#connection.stop();
    this.#abort?.abort();
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
      this.#connection.opened();
      for await (const one of readEvents(response)) {
        clearTimeout(timer);
        timer = setTimeout(() => this.#abort.abort(), SILENT_MS);
        this.#connection.works();
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
