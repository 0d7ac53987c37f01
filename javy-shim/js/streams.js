// The streams of the Streams standard, from web-streams-polyfill, and the host's byte streams as such.

import {
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
  TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
} from "web-streams-polyfill";
import { defineGlobals, native } from "./native.js";

defineGlobals({
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
  TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
});
export { ReadableByteStreamController, ReadableStream, TransformStream, WritableStream };

const CHUNK = 65_536;
const ready = (id) => new Promise((resolve) => native.waitForStream(id, resolve));

/** The next bytes of a host stream, or null at its end. */
export async function readChunk(id) {
  for (;;) {
    const chunk = native.read(id, CHUNK);
    if (chunk === null) native.closeStream(id, false);
    if (chunk !== undefined) return chunk;
    await ready(id);
  }
}

/** All bytes of a host stream, as chunks. */
export async function readAll(id) {
  const chunks = [];
  for (let chunk = await readChunk(id); chunk !== null; chunk = await readChunk(id)) chunks.push(chunk);
  return chunks;
}

/** Writes all bytes, as fast as the other side takes them. */
export async function writeChunk(id, bytes) {
  let offset = 0;
  while (offset < bytes.length) {
    const written = native.write(id, bytes, offset);
    offset += written;
    if (written === 0) await ready(id);
  }
}

/** A host stream as a ReadableStream of bytes. */
export function hostStream(id, onError = (error) => error) {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      try {
        const chunk = await readChunk(id);
        if (chunk !== null) return controller.enqueue(chunk);
        controller.close();
        controller.byobRequest?.respond(0);
      } catch (error) {
        throw onError(error);
      }
    },
    cancel() {
      native.closeStream(id, true);
    },
  }, { highWaterMark: 0 });
}
