// The gallery of products by example: what is in it, what words or a picture find, and what changes it.
import { getJson, postJson, request } from "./api.js";

export const PAGE = 60; // products at once

/** {products, found, counts: {products, examples}, currency}: by name, those whose names hold all of `words`. */
export async function listed(words = "", offset = 0) {
  return getJson(`/v1/gallery?${new URLSearchParams({ q: words, offset: String(offset), limit: String(PAGE) })}`);
}

/** The products that words mean, best first: by their names, then by all that is known of them. */
export async function foundByWords(text) {
  const [byName, response] = await Promise.all([listed(text), postJson("/v1/search", { text, top: 20 })]);
  const { top } = await response.json();
  const others = top.map((one) => one.product).filter((one) => !byName.products.some((other) => other.id === one.id));
  return [...byName.products, ...others];
}

/** The products that a picture is like, best first. */
export async function foundByPicture(blob) {
  const response = await request("/v1/search?top=10", { method: "POST", body: blob, headers: { "Content-Type": blob.type } });
  const { top, known } = await response.json();
  return { products: top.map((one) => one.product), known };
}

/** Another name, and the fields that change; one that is null goes, and the others stay, whoever changed them meanwhile. */
export async function changed(id, { name, fields }) {
  const body = JSON.stringify({ name, fields });
  await request(`/v1/gallery/${id}`, { method: "PATCH", body, headers: { "Content-Type": "application/merge-patch+json" } });
}

export async function forgotten(id) {
  await request(`/v1/gallery/${id}`, { method: "DELETE" });
}

export async function forgottenViews(id, sources) {
  for (const source of sources) {
    await request(`/v1/gallery/${id}/examples/${source}`, { method: "DELETE" });
  }
}

/** One photo more of a product. Throws ApiError with the service's words where it is blurred, or looks like another product. */
export async function taught(id, blob, note) {
  const query = new URLSearchParams({ note });
  await request(`/v1/gallery/${id}/examples?${query}`, { method: "POST", body: blob, headers: { "Content-Type": blob.type } });
}

/** Throws ApiError where this browser may not change the gallery. A WebSocket does not say why it was refused; this does. */
export async function checkMayChange() {
  try {
    await postJson("/v1/gallery/merge", {});
  } catch (error) {
    if (error.status !== 400) {
      throw error;
    }
  }
}
