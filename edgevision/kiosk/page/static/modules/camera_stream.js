// Pictures of the camera in the server: GET /v1/camera, one picture or motion JPEG.
import { request } from "./api.js";
import { Reconnecting } from "./reconnecting.js";

const EVERY_MS = 200; // where the server sends one picture a request
const HIDDEN_MS = 500;
const OLD_MS = 3_000; // a camera that works is shown anew every second

export class CameraStream {
  #connection = new Reconnecting(() => {}); // the events' own notice tells the shopper
  #abort = null;
  #old = null; // the timer that hides a picture

  /** Shows the pictures of a Station (null: the first) in `image`. */
  constructor(image, station) {
    this.image = image;
    this.path = station === null ? "/v1/camera" : `/v1/camera?${new URLSearchParams({ station })}`;
  }

  async run() {
    await this.#connection.run(() => this.#show());
  }

  /** Try again at once. */
  retry() {
    this.#connection.works(); // what follows waits no longer than after a first failure
    this.#connection.retry();
  }

  stop() {
    this.#connection.stop();
    this.#abort?.abort();
  }

  async #show() {
    this.#abort = new AbortController();
    while (!this.#connection.stopped) {
      const response = await request(this.path, { signal: this.#abort.signal, cache: "no-store" });
      for await (const picture of pictures(response)) {
        this.#connection.works();
        await show(this.image, picture);
        clearTimeout(this.#old);
        this.#old = setTimeout(() => (this.image.hidden = true), OLD_MS); // it is not what the camera sees now
      }
      do {
        await new Promise((resolve) => setTimeout(resolve, document.hidden ? HIDDEN_MS : EVERY_MS));
      } while (document.hidden && !this.#connection.stopped);
    }
  }
}

async function show(image, picture) {
  const old = image.src;
  image.src = URL.createObjectURL(picture);
  try {
    await image.decode();
    image.hidden = false;
  } catch {
    // a torn picture: the next one comes
  }
  if (old.startsWith("blob:")) {
    URL.revokeObjectURL(old);
  }
}

async function* pictures(response) {
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.startsWith("multipart/")) {
    yield* parts(response.body.getReader());
  } else {
    yield await response.blob();
  }
}

/** The bodies of a multipart answer whose parts tell their Content-Length. */
async function* parts(reader) {
  let bytes = new Uint8Array();
  const more = async () => {
    const { done, value } = await reader.read();
    if (!done) {
      const both = new Uint8Array(bytes.length + value.length);
      both.set(bytes);
      both.set(value, bytes.length);
      bytes = both;
    }
    return !done;
  };
  try {
    for (;;) {
      let end;
      while ((end = endOfHead(bytes)) < 0) {
        if (!(await more())) {
          return;
        }
      }
      const head = new TextDecoder().decode(bytes.subarray(0, end));
      const length = Number(/content-length:\s*(\d+)/i.exec(head)?.[1] ?? NaN);
      if (!Number.isSafeInteger(length) || length > 32 * 2 ** 20) {
        throw new Error("a part without a length");
      }
      bytes = bytes.slice(end);
      while (bytes.length < length) {
        if (!(await more())) {
          return;
        }
      }
      yield new Blob([bytes.subarray(0, length)], { type: "image/jpeg" });
      bytes = bytes.slice(length);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Where the empty line ends; -1 where none came yet. */
function endOfHead(bytes) {
  for (let i = 3; i < bytes.length; i++) {
    if (bytes[i - 3] === 13 && bytes[i - 2] === 10 && bytes[i - 1] === 13 && bytes[i] === 10) {
      return i + 1;
    }
  }
  return -1;
}
