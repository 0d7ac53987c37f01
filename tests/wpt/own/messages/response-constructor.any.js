// META: title=Response: what it can be made of

test(() => {
  const response = new Response();
  const expected = { type: "default", url: "", redirected: false, status: 200, ok: true, statusText: "", body: null, bodyUsed: false };
  for (const [name, value] of Object.entries(expected)) assert_equals(response[name], value, name);
  assert_array_equals([...response.headers], []);
}, "the defaults");

for (const status of [200, 201, 299, 300, 404, 500, 599]) {
  test(() => {
    const response = new Response("", { status });
    assert_equals(response.status, status);
    assert_equals(response.ok, status < 300);
  }, `the status ${status}`);
}
for (const status of [-1, 0, 100, 101, 199, 600, 1000, NaN, Infinity, "x"]) {
  test(() => assert_throws_js(RangeError, () => new Response("", { status })), `not the status ${status}`);
}
for (const [status, converted] of [["404", 404], [404.9, 404], [65536 + 200, 200], [undefined, 200], [{ valueOf: () => 301 }, 301]]) {
  test(() => assert_equals(new Response(null, { status }).status, converted), `the status ${String(status)} is ${converted}`);
}
for (const status of [204, 205, 304]) {
  test(() => assert_equals(new Response(null, { status }).body, null), `${status} without a body`);
  test(() => assert_equals(new Response(undefined, { status }).status, status), `${status} with an undefined body`);
  for (const body of ["", "text", new Blob([]), new ReadableStream()]) {
    test(() => assert_throws_js(TypeError, () => new Response(body, { status })), `${status} with ${Object.prototype.toString.call(body)} ${String(body)}`);
  }
}
for (const statusText of ["", "OK", "a\tb c", "\u00e9"]) {
  test(() => assert_equals(new Response(null, { statusText }).statusText, statusText), `the statusText ${JSON.stringify(statusText)}`);
}
for (const statusText of ["\n", "a\rb", "\u0100", "\u0000", "\u007f"]) {
  test(() => assert_throws_js(TypeError, () => new Response(null, { statusText })), `not the statusText ${JSON.stringify(statusText)}`);
}
test(() => assert_equals(new Response(null, { statusText: null }).statusText, "null"), "a statusText that is no string is converted");
for (const init of [undefined, null, {}, () => {}]) {
  test(() => assert_equals(new Response("", init).status, 200), `an init that is ${init === null ? "null" : typeof init}`);
}
for (const init of [1, "a", true]) {
  test(() => assert_throws_js(TypeError, () => new Response("", init)), `not an init that is a ${typeof init}`);
}
test(() => assert_throws_js(TypeError, () => new Response("", { headers: null })), "headers cannot be null");
test(() => {
  const log = [];
  const init = {};
  for (const name of ["statusText", "headers", "status"]) Object.defineProperty(init, name, { get() { log.push(name); return undefined; } });
  new Response("", init);
  assert_array_equals(log, ["headers", "status", "statusText"]);
}, "the members of the init are read once, in order");
test(() => assert_throws_js(TypeError, () => Response()), "not without new");
test(() => assert_equals(Response.length, 0), "the length of the constructor");
test(() => assert_equals(String(new Response()), "[object Response]"), "its name");
for (const name of ["type", "url", "redirected", "status", "ok", "statusText", "headers", "body", "bodyUsed"]) {
  test(() => {
    const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(Response.prototype, name);
    assert_true(enumerable && configurable && set === undefined);
    assert_throws_js(TypeError, () => get.call({}));
    assert_throws_js(TypeError, () => Response.prototype[name]);
    const response = new Response();
    const before = response[name];
    try { response[name] = "changed"; } catch { /* In strict mode. */ }
    assert_equals(response[name], before);
  }, `${name} is a read-only attribute`);
}
test(() => {
  class Derived extends Response { get twice() { return 2 * this.status; } }
  const derived = new Derived("x", { status: 201 });
  assert_equals(derived.twice, 402);
  assert_true(derived instanceof Response);
}, "a class can extend it");
promise_test(async () => {
  class Derived extends Response {}
  assert_equals(await new Derived("text").text(), "text");
}, "a class that extends it has the body");
