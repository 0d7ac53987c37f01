// META: title=Bodies: of what kinds they can be, with which content type, and how they are read

const bytes = (...values) => new Uint8Array(values);
const form = () => {
  const form = new FormData();
  form.append("name", "value");
  return form;
};
const KINDS = [
  ["a string", "a\u20ac", "text/plain;charset=UTF-8", [0x61, 0xe2, 0x82, 0xac]],
  ["an empty string", "", "text/plain;charset=UTF-8", []],
  ["a lone surrogate", "\ud800", "text/plain;charset=UTF-8", [0xef, 0xbf, 0xbd]],
  ["a number", 12, "text/plain;charset=UTF-8", [0x31, 0x32]],
  ["an object", { toString: () => "ab" }, "text/plain;charset=UTF-8", [0x61, 0x62]],
  ["a String object", new String("ab"), "text/plain;charset=UTF-8", [0x61, 0x62]],
  ["an ArrayBuffer", bytes(1, 2).buffer, null, [1, 2]],
  ["a Uint8Array", bytes(1, 2), null, [1, 2]],
  ["part of a buffer", bytes(1, 2, 3, 4).subarray(1, 3), null, [2, 3]],
  ["a Uint16Array", new Uint16Array([0x0201]), null, [1, 2]],
  ["a DataView", new DataView(bytes(1, 2, 3).buffer, 1), null, [2, 3]],
  ["a Float64Array", new Float64Array(1), null, [0, 0, 0, 0, 0, 0, 0, 0]],
  ["a Blob", new Blob([bytes(1, 2)], { type: "a/b" }), "a/b", [1, 2]],
  ["a Blob without type", new Blob([bytes(1)]), null, [1]],
  ["a File", new File(["x"], "name", { type: "c/d" }), "c/d", [0x78]],
  ["URLSearchParams", new URLSearchParams("a=b c"), "application/x-www-form-urlencoded;charset=UTF-8", [0x61, 0x3d, 0x62, 0x2b, 0x63]],
];
const messages = {
  Request: (body, init) => new Request("https://example.org/", { method: "POST", duplex: "half", body, ...init }),
  Response: (body, init) => new Response(body, init),
};

for (const [name, make] of Object.entries(messages)) {
  for (const [kind, body, type, content] of KINDS) {
    promise_test(async () => {
      const message = make(body);
      assert_equals(message.headers.get("content-type"), type);
      assert_array_equals(new Uint8Array(await message.arrayBuffer()), content);
    }, `${name}: ${kind}`);
    promise_test(async () => {
      const message = make(body, { headers: { "Content-Type": "x/y" } });
      assert_equals(message.headers.get("content-type"), "x/y");
      const { value, done } = await message.body.getReader().read();
      if (content.length === 0) assert_true(done);
      else assert_array_equals(value, content);
    }, `${name}: ${kind}, as a stream, with a content type of its own`);
  }
  promise_test(async () => {
    const message = make(form());
    assert_true(message.headers.get("content-type").startsWith("multipart/form-data; boundary="));
    const boundary = message.headers.get("content-type").split("boundary=")[1];
    const text = await message.text();
    assert_equals(text, `--${boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\nvalue\r\n--${boundary}--\r\n`);
  }, `${name}: a FormData`);
  promise_test(async () => {
    const view = bytes(1, 2);
    const message = make(view);
    view[0] = 9;
    assert_array_equals(await message.bytes(), [1, 2]);
  }, `${name}: a buffer is copied`);
  test(() => assert_equals(make(null).body, null), `${name}: no body`);
  test(() => assert_equals(make(undefined).headers.get("content-type"), null), `${name}: no body, no content type`);
  test(() => assert_throws_js(TypeError, () => make(Symbol("s"))), `${name}: not a symbol`);
  test(() => {
    const error = new Error("mine");
    assert_throws_exactly(error, () => make({ toString() { throw error; } }));
  }, `${name}: what a conversion throws is passed on`);
  promise_test(async () => {
    const stream = new ReadableStream({ start(controller) { controller.enqueue(bytes(1)); controller.enqueue(bytes(2, 3)); controller.close(); } });
    const message = make(stream);
    assert_equals(message.headers.get("content-type"), null);
    assert_equals(message.body, stream);
    assert_array_equals(await message.bytes(), [1, 2, 3]);
  }, `${name}: a stream`);
  for (const chunk of ["text", 1, null, undefined, new ArrayBuffer(1), new Uint16Array(1), {}]) {
    promise_test(async (t) => {
      const stream = new ReadableStream({ start(controller) { controller.enqueue(chunk); controller.close(); } });
      await promise_rejects_js(t, TypeError, make(stream).text());
    }, `${name}: a stream with a chunk that is ${Object.prototype.toString.call(chunk)}`);
  }
  promise_test(async (t) => {
    const error = new Error("mine");
    const stream = new ReadableStream({ start(controller) { controller.enqueue(bytes(1)); }, pull(controller) { controller.error(error); } });
    await promise_rejects_exactly(t, error, make(stream).text());
  }, `${name}: a stream that fails`);
  test(() => {
    const stream = new ReadableStream();
    stream.getReader();
    assert_throws_js(TypeError, () => make(stream));
  }, `${name}: not a locked stream`);
  promise_test(async () => {
    const stream = new ReadableStream({ start(controller) { controller.enqueue(bytes(1)); } });
    const reader = stream.getReader();
    await reader.read();
    reader.releaseLock();
    assert_throws_js(TypeError, () => make(stream));
  }, `${name}: not a stream that was read from`);

  const BODY = '{"a":"\u20ac"}';
  promise_test(async () => assert_equals(await make(BODY).text(), BODY), `${name}: text`);
  promise_test(async () => assert_object_equals(await make(BODY).json(), { a: "\u20ac" }), `${name}: json`);
  promise_test(async () => {
    const blob = await make(BODY, { headers: { "content-type": "Text/HTML; charset=utf-8" } }).blob();
    assert_true(blob instanceof Blob);
    assert_equals(blob.type, "text/html;charset=utf-8");
    assert_equals(blob.size, 11);
    assert_equals(await blob.text(), BODY);
  }, `${name}: blob`);
  promise_test(async () => {
    const read = await make(BODY).bytes();
    assert_equals(read.constructor, Uint8Array);
    assert_equals(read.length, 11);
  }, `${name}: bytes`);
  promise_test(async () => {
    const buffer = await make(BODY).arrayBuffer();
    assert_true(buffer instanceof ArrayBuffer);
    assert_equals(buffer.byteLength, 11);
  }, `${name}: arrayBuffer`);
  for (const method of ["text", "arrayBuffer", "bytes", "blob"]) {
    promise_test(async () => {
      const read = await make(null)[method]();
      assert_equals(read.length ?? read.size ?? read.byteLength, 0);
    }, `${name}: ${method} of no body`);
  }
  promise_test((t) => promise_rejects_js(t, SyntaxError, make(null).json()), `${name}: json of no body`);
  promise_test((t) => promise_rejects_js(t, SyntaxError, make("{").json()), `${name}: json of what is none`);
  promise_test((t) => promise_rejects_js(t, TypeError, make(null).formData()), `${name}: formData of no body`);
  promise_test((t) => promise_rejects_js(t, TypeError, make("a=b").formData()), `${name}: formData of a text`);
  promise_test(async () => assert_equals(await make(bytes(0xef, 0xbb, 0xbf, 0x61)).text(), "a"), `${name}: text without the byte order mark`);
  promise_test(async () => assert_equals(await make(bytes(0xff, 0xfe, 0x61)).text(), "\ufffd\ufffda"), `${name}: text is always UTF-8`);
  promise_test(async () => assert_equals(await make(bytes(0xef, 0xbb, 0xbf, 0x31)).json(), 1), `${name}: json without the byte order mark`);
  for (const method of ["text", "json", "arrayBuffer", "bytes", "blob", "formData"]) {
    test(() => {
      const descriptor = Object.getOwnPropertyDescriptor(globalThis[name].prototype, method);
      assert_true(descriptor.enumerable && descriptor.writable && descriptor.configurable);
      assert_equals(descriptor.value.length, 0);
      assert_equals(descriptor.value.name, method);
    }, `${name}: ${method} is an operation`);
    promise_test((t) => promise_rejects_js(t, TypeError, globalThis[name].prototype[method].call({})), `${name}: ${method} of another object rejects`);
  }
}
