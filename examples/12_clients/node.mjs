// A client in Node or a browser: recognise a picture, and follow what a Station tells. No packages; Node 18 or later.
//
//     edgevision serve runs/demo/model.edge
//     node examples/12_clients/node.mjs photo.jpg [http://127.0.0.1:8765 [TOKEN]]
import { readFile } from "node:fs/promises";

const [photo, server = "http://127.0.0.1:8765", token] = process.argv.slice(2);
const headers = token ? { Authorization: `Bearer ${token}` } : {};

/** The answer to a request. Throws what the service says where it refuses. */
async function ask(path, options = {}) {
  const answer = await fetch(server + path, { ...options, headers: { ...headers, ...options.headers } });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  throw new Error(`${path}: ${answer.status} ${told.error}`);
}

/** The events of the server's camera, one after the other. fetch() rather than EventSource, which cannot send a token. */
export async function* events() {
  const answer = await ask("/v1/events");
  let text = "";
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    const told = text.split("\n\n");
    text = told.pop(); // not whole yet
    for (const one of told) {
      const data = one.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}

const about = await (await ask("/v2")).json();
console.log(`server: ${about.name} ${about.version}`);

// The raw body is the picture. What cannot be answered within the deadline is refused before the work, with 503.
const body = await readFile(photo);
const answer = await ask("/v1/recognise", {
  method: "POST",
  body,
  headers: { "Content-Type": "image/jpeg", "EdgeVision-Deadline-Ms": "2000" },
});
console.log(JSON.stringify(await answer.json()));
