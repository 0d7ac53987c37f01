// META: title=Bodies: when they count as used, and what can no longer be done then

const messages = {
  Request: (body = "text") => new Request("https://example.org/", { method: "POST", duplex: "half", body }),
  Response: (body = "text") => new Response(body),
};
const METHODS = ["text", "json", "arrayBuffer", "bytes", "blob", "formData"];
const stream = () => new ReadableStream({ start(controller) { controller.enqueue(new Uint8Array([0x31])); controller.close(); } });

for (const [name, make] of Object.entries(messages)) {
  for (const method of METHODS) {
    promise_test(async (t) => {
      const message = make("1");
      assert_false(message.bodyUsed);
      const first = message[method]().catch(() => {});
      assert_true(message.bodyUsed);
      await promise_rejects_js(t, TypeError, message.text());
      await first;
      assert_true(message.bodyUsed);
      await promise_rejects_js(t, TypeError, message[method]());
    }, `${name}: ${method} uses the body`);
    promise_test(async () => {
      const message = make(null);
      await message[method]().catch(() => {});
      assert_false(message.bodyUsed);
      if (method !== "json" && method !== "formData") await message[method]();
    }, `${name}: ${method} uses nothing where there is no body`);
  }
  promise_test(async () => {
    const message = make("");
    await message.text();
    assert_true(message.bodyUsed);
  }, `${name}: an empty body is used too`);
  promise_test(async () => {
    const message = make(stream());
    const reader = message.body.getReader();
    assert_false(message.bodyUsed);
    await reader.read();
    assert_true(message.bodyUsed);
  }, `${name}: a body is used when its stream was read from`);
  promise_test(async (t) => {
    const message = make();
    message.body.getReader();
    assert_false(message.bodyUsed);
    await promise_rejects_js(t, TypeError, message.text());
    assert_throws_js(TypeError, () => message.clone());
  }, `${name}: a locked body cannot be read or cloned`);
  promise_test(async (t) => {
    const message = make();
    const reader = message.body.getReader();
    reader.releaseLock();
    assert_equals(await message.text(), "text");
    assert_true(message.body.locked || message.bodyUsed);
  }, `${name}: a body that is free again can be read`);
  promise_test(async () => {
    const message = make();
    await message.body.cancel();
    assert_true(message.bodyUsed);
  }, `${name}: a cancelled body is used`);
  promise_test(async () => {
    const message = make();
    await message.text();
    assert_throws_js(TypeError, () => message.clone());
  }, `${name}: a used body cannot be cloned`);
  promise_test(async () => {
    const message = make();
    const { body } = message;
    assert_equals(message.body, body);
    await message.text();
    assert_equals(message.body, body);
    assert_true(body.locked);
  }, `${name}: the stream is the same each time, and locked after reading`);
  promise_test(async () => {
    const message = make();
    await message.text();
    assert_true(message.body instanceof ReadableStream);
    assert_throws_js(TypeError, () => message.body.getReader());
  }, `${name}: there is a stream after reading`);
  promise_test(async () => {
    const message = make();
    const copy = message.clone();
    assert_equals(await copy.text(), "text");
    assert_false(message.bodyUsed);
    assert_equals(await message.text(), "text");
  }, `${name}: a clone has the body`);
  promise_test(async () => {
    const message = make(stream());
    const copy = message.clone();
    assert_not_equals(message.body, copy.body);
    assert_equals(await message.text(), "1");
    assert_equals(await copy.text(), "1");
  }, `${name}: a clone of a stream has the body`);
  promise_test(async () => {
    const message = make();
    const before = message.body;
    const copy = message.clone();
    assert_not_equals(copy.body, message.body);
    assert_not_equals(before, copy.body);
    assert_equals((await Promise.all([message.text(), copy.text()])).join(), "text,text");
  }, `${name}: a clone of a body whose stream was looked at`);
  promise_test(async () => {
    const message = make(new Uint8Array([1, 2, 3]));
    const copy = message.clone();
    const buffer = await message.arrayBuffer();
    new Uint8Array(buffer).fill(9);
    assert_array_equals(await copy.bytes(), [1, 2, 3]);
  }, `${name}: a clone shares no memory`);
  promise_test(async () => {
    const message = make();
    const reader = message.body.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(2));
    assert_array_equals(value, [0x74, 0x65]);
  }, `${name}: the stream of a body is one of bytes`);
  test(() => assert_equals(make(null).clone().body, null), `${name}: a clone without body`);
}
promise_test(async () => {
  const response = new Response("text", { status: 404, statusText: "none", headers: { a: "1" } });
  const copy = response.clone();
  assert_equals(copy.status, 404);
  assert_equals(copy.statusText, "none");
  copy.headers.set("a", "2");
  assert_equals(response.headers.get("a"), "1");
  assert_equals(copy.headers.get("content-type"), "text/plain;charset=UTF-8");
}, "a clone of a response has its own head");
test(() => assert_throws_js(TypeError, () => Response.redirect("https://example.org/").clone().headers.set("a", "1")), "a clone of a redirect stays as it is");
test(() => assert_equals(Response.error().clone().type, "error"), "a clone of an error is one");
