// Streams of Node.js: its own code, from the package readable-stream, and the bridge to the streams of the web platform.

import { Buffer } from "node:buffer";
import Stream from "node:internal/readable-stream";

export const {
  Duplex, PassThrough, Readable, Transform, Writable, addAbortSignal, compose, destroy, finished, getDefaultHighWaterMark, isDestroyed,
  isDisturbed, isErrored, isReadable, isWritable, pipeline, promises, setDefaultHighWaterMark,
} = Stream;

Readable.toWeb = (readable, { strategy } = {}) => {
  const chunks = readable[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) return controller.close();
      // A Buffer would be a surprise to code of the web platform.
      controller.enqueue(Buffer.isBuffer(value) ? new Uint8Array(value.buffer, value.byteOffset, value.length) : value);
    },
    cancel(reason) {
      readable.destroy(reason instanceof Error ? reason : undefined);
    },
  }, strategy ?? { highWaterMark: 0 });
};

Readable.fromWeb = (stream, options = undefined) => {
  const reader = stream.getReader();
  return new Readable({
    ...options,
    read() {
      reader.read().then(
        ({ done, value }) => this.push(done ? null : value instanceof Uint8Array && !this.readableObjectMode ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value),
        (error) => this.destroy(error),
      );
    },
    destroy(error, callback) {
      reader.cancel(error).then(() => callback(error), () => callback(error));
    },
  });
};

Writable.toWeb = (writable) => new WritableStream({
  write: (chunk) => new Promise((resolve, reject) => writable.write(chunk, (error) => (error ? reject(error) : resolve()))),
  close: () => new Promise((resolve, reject) => {
    writable.once("error", reject);
    writable.end(resolve);
  }),
  abort(reason) {
    writable.destroy(reason instanceof Error ? reason : undefined);
  },
});

Writable.fromWeb = (stream, options = undefined) => {
  const writer = stream.getWriter();
  const settle = (promise, callback) => { promise.then(() => callback(), callback); };
  return new Writable({
    ...options,
    write(chunk, _, callback) { settle(writer.write(chunk), callback); },
    final(callback) { settle(writer.close(), callback); },
    destroy(error, callback) {
      if (error === null) callback(null);
      else writer.abort(error).then(() => callback(error), () => callback(error));
    },
  });
};

Duplex.toWeb = (duplex) => ({ readable: Readable.toWeb(duplex), writable: Writable.toWeb(duplex) });
Duplex.fromWeb = ({ readable, writable }, options = undefined) =>
  Duplex.from({ readable: Readable.fromWeb(readable, options), writable: Writable.fromWeb(writable, options) });

export { Stream };
export default Stream;
