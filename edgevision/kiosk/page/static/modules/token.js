// The token that this browser was paired with. It arrives once, as /#token=…, which no server log and no referrer ever sees.
const KEY = "edgevision.token";
let current = null;
let staff = null; // of whoever stands at the screen now; never kept
let refused = null; // the service does not know it: to send it again would only make this address wait

/** Take a token from the address, keep it, and remove it from the address bar. Whether there was one. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keepToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return Boolean(given);
}

/** The token, or null where none is known, or the one that is known was refused. */
export function token() {
  if (staff !== null) {
    return staff;
  }
  if (current === null) {
    try {
      current = localStorage.getItem(KEY); // another tab may have got a new one
    } catch {
      return null; // storage is blocked: the token lives as long as the page
    }
  }
  if (current === refused) {
    current = null;
  }
  return current;
}

/** The service refused `text`: it is not sent any more, until somebody gives it once more, or the page is loaded again. */
export function forgetToken(text) {
  if (text === staff) {
    staff = null;
    return;
  }
  refused = text;
}

/** From now on, this token is sent; null: the browser's own again. */
export function useStaffToken(text) {
  staff = text;
}

export function keepToken(text) {
  current = text;
  refused = null;
  try {
    localStorage.setItem(KEY, text);
  } catch {
    // as above
  }
}
