// Server-sent events read from a fetch: EventSource cannot send a token.

/** Each event of `response` as {event, data, id}; for a comment, the server's sign of life, as {comment: true}. */
export async function* readEvents(response) {
  const lines = readLines(response.body.pipeThrough(new TextDecoderStream()).getReader());
  let found = { event: "message", data: [], id: null };
  for await (const line of lines) {
    if (line === "") {
      if (found.data.length > 0) {
        yield { ...found, data: found.data.join("\n") };
      }
      found = { event: "message", data: [], id: null };
    } else if (line.startsWith(":")) {
      yield { comment: true };
    } else {
      take(found, line);
    }
  }
}

function take(found, line) {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "data") {
    found.data.push(value);
  } else if (name === "event" || name === "id") {
    found[name] = value;
  }
}

async function* readLines(reader) {
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
