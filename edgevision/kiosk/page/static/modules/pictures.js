// Pictures for <img>: straight from the service, or fetched with the token, which an <img> cannot send.
import { at } from "./address.js";
import { request } from "./api.js";
import { token } from "./token.js";

const MOST = 300;
const fetched = new Map(); // address → promise of a blob's address

/** Show the picture at `address` in `image`; hide the image where there is none. */
export async function showPicture(image, address) {
  image.addEventListener("error", () => (image.hidden = true));
  try {
    const isOurs = address.startsWith("/");
    if (isOurs) {
      image.src = token() ? await withToken(address) : at(address);
    } else {
      image.src = address;
    }
  } catch {
    image.hidden = true;
  }
}

/** The bytes of a data: address; null for any other. Such an address cannot be fetched here: the page's rules forbid it. */
export function blobOf(address) {
  const found = /^data:(image\/\w+);base64,(.*)$/s.exec(address ?? "");
  if (!found) {
    return null;
  }
  return new Blob([Uint8Array.from(atob(found[2]), (c) => c.charCodeAt(0))], { type: found[1] });
}

function withToken(address) {
  if (!fetched.has(address)) {
    if (fetched.size >= MOST) {
      forget(fetched.keys().next().value);
    }
    const picture = request(address).then(async (response) => URL.createObjectURL(await response.blob()));
    picture.catch(() => fetched.delete(address));
    fetched.set(address, picture);
  }
  return fetched.get(address);
}

function forget(address) {
  fetched.get(address).then(URL.revokeObjectURL, () => {});
  fetched.delete(address);
}
