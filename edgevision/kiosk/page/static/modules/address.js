// Where the service is: wherever this file came from, so that the whole may be mounted under a path of somebody's own app.
const ROOT = new URL("../../", import.meta.url);

/** The full address of a path of the service, with or without a slash before it. */
export function at(path) {
  return new URL(path.replace(/^\//, ""), ROOT).href;
}

/** The same for a WebSocket. */
export function socketAt(path) {
  return at(path).replace(/^http/, "ws");
}
