// Server-sent events over fetch, because EventSource can send no headers.

/** Splits a growing text into events; keeps what is not whole yet. */
export class EventReader {
  #rest = '';

  /** Feeds text; returns the events that are whole now, as `{ event, data }`. */
  feed(text) {
    this.#rest += text;
    const events = [];
    for (let end = this.#end(); end; end = this.#end()) {
      const block = this.#rest.slice(0, end.at);
      this.#rest = this.#rest.slice(end.at + end.size);
      const event = parse(block);
      if (event) events.push(event);
    }
    return events;
  }

  #end() {
    const found = /\r\n\r\n|\n\n|\r\r/.exec(this.#rest);
    return found && { at: found.index, size: found[0].length };
  }
}

function parse(block) {
  let event = 'message';
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    if (colon === 0 || line === '') continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') event = value;
    if (name === 'data') data.push(value);
  }
  return data.length ? { event, data: data.join('\n') } : null;
}

/** Yields events from a byte stream until it ends. */
export async function* events(body, onBytes = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      onBytes();
      yield* parser.feed(decoder.decode(part.value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
