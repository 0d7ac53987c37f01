// META: title=CompressionStream and DecompressionStream

const FORMATS = ["gzip", "deflate", "deflate-raw"];
const text = (bytes) => new TextDecoder().decode(bytes);
const bytesOf = (...values) => new Uint8Array(values);

async function through(stream, ...chunks) {
  const writer = stream.writable.getWriter();
  const writing = (async () => {
    for (const chunk of chunks) await writer.write(chunk);
    await writer.close();
  })();
  const [read] = await Promise.all([new Response(stream.readable).bytes(), writing]);
  return read;
}

const HELLO = {
  gzip: "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==",
  deflate: "eJzLSM3JyQcABiwCFQ==",
  "deflate-raw": "y0jNyckHAA==",
};
const SAMPLES = {
  "an empty text": new Uint8Array(0),
  "one byte": bytesOf(255),
  "text": new TextEncoder().encode("a \u20ac, a \u20ac, a \u20ac"),
  "a megabyte of zeros": new Uint8Array(1 << 20),
  "what does not compress": crypto.getRandomValues(new Uint8Array(65_536)),
};

for (const format of FORMATS) {
  for (const [what, sample] of Object.entries(SAMPLES)) {
    promise_test(async () => {
      const packed = await through(new CompressionStream(format), sample);
      assert_greater_than(packed.length, 0);
      const unpacked = await through(new DecompressionStream(format), packed);
      assert_equals(unpacked.length, sample.length);
      assert_true(unpacked.every((byte, index) => byte === sample[index]));
    }, `${format}: ${what}, there and back`);
  }
  promise_test(async () => {
    const packed = await through(new CompressionStream(format), new Uint8Array(100_000));
    assert_less_than(packed.length, 1_000);
  }, `${format}: it becomes smaller`);
  promise_test(async () => {
    const packed = await through(new CompressionStream(format), bytesOf(1, 2), bytesOf(), bytesOf(3).buffer, new DataView(bytesOf(0, 4).buffer, 1));
    assert_array_equals(await through(new DecompressionStream(format), packed), [1, 2, 3, 4]);
  }, `${format}: several chunks of all kinds`);
  promise_test(async () => {
    const known = Uint8Array.from(atob(HELLO[format]), (character) => character.charCodeAt(0));
    assert_equals(text(await through(new DecompressionStream(format), known)), "hello");
    assert_equals(text(await through(new DecompressionStream(format), ...Array.from(known, (byte) => bytesOf(byte)))), "hello");
  }, `${format}: a known text, whole and byte by byte`);
  promise_test(async (t) => {
    const known = Uint8Array.from(atob(HELLO[format]), (character) => character.charCodeAt(0));
    await promise_rejects_js(t, TypeError, through(new DecompressionStream(format), known.slice(0, -1)));
  }, `${format}: an end that is missing`);
  promise_test(async (t) => {
    const known = Uint8Array.from(atob(HELLO[format]), (character) => character.charCodeAt(0));
    await promise_rejects_js(t, TypeError, through(new DecompressionStream(format), known, bytesOf(0)));
  }, `${format}: bytes after the end`);
  promise_test((t) => promise_rejects_js(t, TypeError, through(new DecompressionStream(format))), `${format}: nothing at all`);
  promise_test((t) => promise_rejects_js(t, TypeError, through(new DecompressionStream(format), new Uint8Array(20).fill(0xff))), `${format}: what is none`);
  for (const direction of [CompressionStream, DecompressionStream]) {
    for (const chunk of [undefined, null, 1, "text", {}, [1, 2]]) {
      promise_test(async (t) => {
        const stream = new direction(format);
        const writer = stream.writable.getWriter();
        const read = stream.readable.getReader().read();
        await promise_rejects_js(t, TypeError, writer.write(chunk));
        await promise_rejects_js(t, TypeError, read);
      }, `${format}: ${direction.name} takes no ${chunk === null ? "null" : Array.isArray(chunk) ? "array" : typeof chunk}`);
    }
  }
}
for (const damage of [["the check sum", 16], ["the length", 21], ["the first byte", 0], ["the method", 2]]) {
  promise_test(async (t) => {
    const known = Uint8Array.from(atob(HELLO.gzip), (character) => character.charCodeAt(0));
    known[damage[1]] ^= 0x55;
    await promise_rejects_js(t, TypeError, through(new DecompressionStream("gzip"), known));
  }, `gzip: damage of ${damage[0]}`);
}
promise_test(async (t) => {
  const known = Uint8Array.from(atob(HELLO.deflate), (character) => character.charCodeAt(0));
  known[known.length - 1] ^= 1;
  await promise_rejects_js(t, TypeError, through(new DecompressionStream("deflate"), known));
}, "deflate: damage of the check sum");
for (const direction of [CompressionStream, DecompressionStream]) {
  for (const format of ["", "GZIP", "br", "identity", null, undefined, 1]) {
    test(() => assert_throws_js(TypeError, () => new direction(format)), `${direction.name}: not ${JSON.stringify(format)}`);
  }
  test(() => assert_throws_js(TypeError, () => new direction()), `${direction.name}: not without a format`);
  test(() => assert_throws_js(TypeError, () => direction("gzip")), `${direction.name}: not without new`);
  test(() => {
    const stream = new direction("gzip");
    assert_true(stream.readable instanceof ReadableStream && stream.writable instanceof WritableStream);
    assert_equals(String(stream), `[object ${direction.name}]`);
    for (const name of ["readable", "writable"]) {
      const { get, set, enumerable } = Object.getOwnPropertyDescriptor(direction.prototype, name);
      assert_true(enumerable && set === undefined);
      assert_throws_js(TypeError, () => get.call({}));
    }
  }, `${direction.name}: its two sides`);
}
promise_test(async () => {
  const stream = new Blob(["text"]).stream().pipeThrough(new CompressionStream("gzip")).pipeThrough(new DecompressionStream("gzip"));
  assert_equals(await new Response(stream).text(), "text");
}, "pipes");
