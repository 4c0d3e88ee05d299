import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader, events } from '../script/stream.js';

test('events come out whole however the bytes are cut', () => {
  const text = ': hello\n\nevent: state\ndata: {"state":"opened"}\n\nevent: state\r\ndata: {"state":\r\ndata: "scanned"}\r\n\r\n';
  for (let size = 1; size < text.length; size += 1) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.feed(text.slice(at, at + size)));
    assert.deepEqual(found.map(({ event, data }) => [event, JSON.parse(data).state]), [['state', 'opened'], ['state', 'scanned']], `${size}`);
  }
});

test('a stream of bytes is read to its end', async () => {
  const body = new ReadableStream({
    start(controller) {
      for (const part of ['event: state\nda', 'ta: 1\n\n', 'data: 2\n\n']) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
  const found = [];
  for await (const event of events(body)) found.push(event);
  assert.deepEqual(found, [{ event: 'state', data: '1' }, { event: 'message', data: '2' }]);
});
