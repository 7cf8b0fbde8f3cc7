// Requests to the service that this page came from. Each has a time limit; the token travels as a header.
import { at } from "./address.js";
import { forgetToken, token } from "./token.js";

const LIMIT_MS = 10_000;

/** An answer that is no success. `status`: of HTTP, 0 where no answer came. `waitS`: seconds to wait before the next try, or null. */
export class ApiError extends Error {
  constructor(message, status, waitS = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.waitS = waitS;
  }

  /** Whether the service wants a token that this browser does not have. */
  get wantsToken() {
    return this.status === 401 || this.status === 403;
  }

  /** Whether the service looked at what was sent, and does not take it: the same once more would fare no better. */
  get isRefusal() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && !this.wantsToken && !this.isThrottled;
  }

  /** Whether too many wrong tokens came from here: the right one, too, has to wait. */
  get isThrottled() {
    return this.status === 429;
  }
}

/** What to tell whoever looks, as a notice; null where the service refused nobody. */
export function refusalOf(error) {
  if (error?.isThrottled) {
    return { kind: "throttled", seconds: error.waitS ?? 60 };
  }
  return error?.wantsToken ? { kind: "pairing" } : null;
}

/** `fetch` with the token. Throws ApiError for every answer that is no success. */
export async function request(path, { headers = {}, signal, ...options } = {}) {
  const known = token();
  const all = known ? { ...headers, Authorization: `Bearer ${known}` } : headers;
  let response;
  try {
    response = await fetch(at(path), { ...options, headers: all, signal: signal ?? AbortSignal.timeout(LIMIT_MS) });
  } catch (error) {
    throw new ApiError(error.message, 0);
  }
  if (response.status === 401 && known) {
    forgetToken(known);
  }
  if (!response.ok) {
    const after = Number.parseInt(response.headers.get("Retry-After"), 10);
    throw new ApiError(await reason(response), response.status, Number.isNaN(after) ? null : after);
  }
  return response;
}

export async function getJson(path) {
  return (await request(path)).json();
}

export async function postJson(path, value, headers = {}) {
  const body = JSON.stringify(value);
  return request(path, { method: "POST", body, headers: { "Content-Type": "application/json", ...headers } });
}

/** The service's own words, {"error": "text"}, or the status. */
async function reason(response) {
  try {
    return (await response.json()).error ?? response.statusText;
  } catch {
    return response.statusText;
  }
}
