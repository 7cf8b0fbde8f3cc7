// The token that this browser was paired with. It arrives once, as /#token=…, which no server log and no referrer ever sees.
const KEY = "edgevision.token";
let current = null;

/** Take a token from the address, keep it, and remove it from the address bar. Whether there was one. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keepToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return Boolean(given);
}

/** The token, or null where none is known. */
export function token() {
  if (current === null) {
    try {
      current = localStorage.getItem(KEY);
    } catch {
      return null; // storage is blocked: the token lives as long as the page
    }
  }
  return current;
}

export function keepToken(text) {
  current = text;
  try {
    localStorage.setItem(KEY, text);
  } catch {
    // as above
  }
}
