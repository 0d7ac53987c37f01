// META: title=Request: signals, and fetch with one that has fired

const URL_ = "https://example.org/";

test(() => {
  const controller = new AbortController();
  const request = new Request(URL_, { signal: controller.signal });
  assert_not_equals(request.signal, controller.signal);
  assert_false(request.signal.aborted);
  controller.abort("why");
  assert_true(request.signal.aborted);
  assert_equals(request.signal.reason, "why");
}, "the signal of a request follows the one it was given");
test(() => {
  const request = new Request(URL_, { signal: AbortSignal.abort("why") });
  assert_true(request.signal.aborted);
  assert_equals(request.signal.reason, "why");
}, "a signal that has fired");
test(() => {
  const controller = new AbortController();
  const second = new Request(new Request(URL_, { signal: controller.signal }));
  const copy = second.clone();
  controller.abort();
  assert_true(second.signal.aborted);
  assert_true(copy.signal.aborted);
}, "it is taken over");
test(() => {
  const controller = new AbortController();
  const second = new Request(new Request(URL_, { signal: controller.signal }), { signal: null });
  controller.abort();
  assert_false(second.signal.aborted);
}, "null is another signal");
test(() => {
  const first = new AbortController();
  const second = new AbortController();
  const request = new Request(new Request(URL_, { signal: first.signal }), { signal: second.signal });
  first.abort();
  assert_false(request.signal.aborted);
  second.abort();
  assert_true(request.signal.aborted);
}, "a signal of the init replaces the other");
for (const signal of [1, "x", {}, true, new EventTarget()]) {
  test(() => assert_throws_js(TypeError, () => new Request(URL_, { signal })), `not a signal: ${String(signal)}`);
}
test(() => {
  const request = new Request(URL_);
  assert_equals(request.signal, request.signal);
}, "the signal is the same each time");
promise_test(async (t) => {
  await promise_rejects_dom(t, "AbortError", fetch(URL_, { signal: AbortSignal.abort() }));
}, "fetch with a signal that has fired");
promise_test(async (t) => {
  const reason = new Error("mine");
  await promise_rejects_exactly(t, reason, fetch(URL_, { signal: AbortSignal.abort(reason) }));
  await promise_rejects_exactly(t, reason, fetch(new Request(URL_, { signal: AbortSignal.abort(reason) })));
}, "fetch rejects with the reason");
promise_test(async (t) => {
  let cancelled;
  const body = new ReadableStream({ cancel(reason) { cancelled = reason; } });
  const reason = new Error("mine");
  await promise_rejects_exactly(t, reason, fetch(URL_, { method: "POST", body, duplex: "half", signal: AbortSignal.abort(reason) }));
  assert_equals(cancelled, reason);
}, "a body that is not sent is cancelled");
promise_test(async (t) => {
  await promise_rejects_js(t, TypeError, fetch("http://"));
  await promise_rejects_js(t, TypeError, fetch("ftp://example.org/"));
  await promise_rejects_js(t, TypeError, fetch(URL_, { method: "a b" }));
  await promise_rejects_js(t, TypeError, fetch());
}, "fetch rejects, and does not throw");
promise_test(async () => {
  const response = await fetch("data:text/html;charset=utf-8,a%20b");
  assert_equals(response.status, 200);
  assert_equals(response.headers.get("content-type"), "text/html;charset=utf-8");
  assert_equals(await response.text(), "a b");
}, "fetch of a data URL");
promise_test(async () => {
  const response = await fetch("data:;base64,AQID");
  assert_equals(response.headers.get("content-type"), "text/plain;charset=US-ASCII");
  assert_array_equals(await response.bytes(), [1, 2, 3]);
}, "fetch of a data URL in base64");
promise_test((t) => promise_rejects_js(t, TypeError, fetch("data:text/plain")), "fetch of a data URL without a comma");
test(() => {
  const { value, enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(globalThis, "Request");
  assert_false(enumerable);
  assert_true(writable && configurable);
  assert_equals(value.name, "Request");
}, "the global is not enumerable");
