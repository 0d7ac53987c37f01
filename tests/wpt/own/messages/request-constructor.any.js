// META: title=Request: what it can be made of

const URL_ = "https://example.org/path?query#hash";

test(() => {
  const request = new Request(URL_);
  const expected = {
    method: "GET", url: URL_, destination: "", referrer: "about:client", referrerPolicy: "", mode: "cors", credentials: "same-origin",
    cache: "default", redirect: "follow", integrity: "", keepalive: false, body: null, bodyUsed: false, duplex: "half",
  };
  for (const [name, value] of Object.entries(expected)) assert_equals(request[name], value, name);
  assert_array_equals([...request.headers], []);
  assert_true(request.signal instanceof AbortSignal);
  assert_false(request.signal.aborted);
}, "the defaults");
test(() => assert_equals(new Request(new URL(URL_)).url, URL_), "of a URL object");
test(() => assert_equals(new Request("HTTPS://EXAMPLE.ORG:443/a/../b").url, "https://example.org/b"), "the URL is serialized");
for (const input of ["", "/path", "http://", "https://user@example.org/", "https://user:word@example.org/", "https://:word@example.org/"]) {
  test(() => assert_throws_js(TypeError, () => new Request(input)), `not of ${JSON.stringify(input)}`);
}
test(() => assert_throws_js(TypeError, () => new Request()), "not of nothing");
test(() => assert_throws_js(TypeError, () => Request(URL_)), "not without new");
test(() => assert_equals(Request.length, 1), "the length of the constructor");
test(() => assert_equals(String(new Request(URL_)), "[object Request]"), "its name");

for (const [method, normal] of [["get", "GET"], ["post", "POST"], ["PuT", "PUT"], ["delete", "DELETE"], ["head", "HEAD"], ["options", "OPTIONS"],
  ["patch", "patch"], ["PATCH", "PATCH"], ["custom", "custom"], ["query!", "query!"]]) {
  test(() => assert_equals(new Request(URL_, { method }).method, normal), `the method ${method}`);
}
for (const method of ["", " GET", "GET ", "a b", "a:", "\u00e9", "CONNECT", "connect", "TRACE", "Track", null + "\n"]) {
  test(() => assert_throws_js(TypeError, () => new Request(URL_, { method })), `not the method ${JSON.stringify(method)}`);
}
const OPTIONS = {
  mode: [["same-origin", "no-cors", "cors"], ["navigate", "x", "CORS"]],
  credentials: [["omit", "same-origin", "include"], ["x", "OMIT"]],
  cache: [["default", "no-store", "reload", "no-cache", "force-cache"], ["x"]],
  redirect: [["follow", "error", "manual"], ["x"]],
  referrerPolicy: [["", "no-referrer", "origin", "same-origin", "strict-origin", "unsafe-url", "no-referrer-when-downgrade", "origin-when-cross-origin",
    "strict-origin-when-cross-origin"], ["x", "ORIGIN"]],
};
for (const [name, [good, bad]] of Object.entries(OPTIONS)) {
  for (const value of good) test(() => assert_equals(new Request(URL_, { [name]: value })[name], value), `${name} ${JSON.stringify(value)}`);
  for (const value of bad) test(() => assert_throws_js(TypeError, () => new Request(URL_, { [name]: value })), `${name} not ${JSON.stringify(value)}`);
  test(() => {
    const [, value] = good;
    assert_equals(new Request(new Request(URL_, { [name]: value }))[name], value);
    assert_equals(new Request(new Request(URL_, { [name]: value }), {})[name], value);
  }, `${name} is taken over`);
}
test(() => assert_throws_js(TypeError, () => new Request(URL_, { cache: "only-if-cached" })), "only-if-cached needs the mode same-origin");
test(() => assert_equals(new Request(URL_, { cache: "only-if-cached", mode: "same-origin" }).cache, "only-if-cached"), "only-if-cached with it");
test(() => assert_equals(new Request(URL_, { integrity: "sha256-x" }).integrity, "sha256-x"), "integrity");
test(() => assert_equals(new Request(URL_, { keepalive: 1 }).keepalive, true), "keepalive");
test(() => assert_equals(new Request(URL_, { referrer: "" }).referrer, ""), "no referrer");
test(() => assert_equals(new Request(URL_, { referrer: "about:client" }).referrer, "about:client"), "the referrer about:client");
test(() => assert_throws_js(TypeError, () => new Request(URL_, { referrer: "http://" })), "not a referrer that is no URL");
test(() => assert_throws_js(TypeError, () => new Request(URL_, { window: "x" })), "window can only be null");
test(() => { new Request(URL_, { window: null }); }, "window null");
for (const init of [undefined, null, {}]) test(() => { new Request(URL_, init); }, `an init that is ${init}`);
for (const init of [1, "a", true]) test(() => assert_throws_js(TypeError, () => new Request(URL_, init)), `not an init that is a ${typeof init}`);

for (const method of ["GET", "HEAD", "get"]) {
  test(() => assert_throws_js(TypeError, () => new Request(URL_, { method, body: "x" })), `${method} with a body`);
  test(() => assert_throws_js(TypeError, () => new Request(URL_, { method, body: "" })), `${method} with an empty body`);
  test(() => assert_equals(new Request(URL_, { method, body: null }).body, null), `${method} with a null body`);
}
test(() => assert_throws_js(TypeError, () => new Request(URL_, { method: "POST", body: new ReadableStream() })), "a stream without duplex");
test(() => assert_throws_js(TypeError, () => new Request(URL_, { method: "POST", body: new ReadableStream(), duplex: "full" })), "the duplex full");
test(() => assert_throws_js(TypeError, () => new Request(URL_, { duplex: "x" })), "not any duplex");
test(() => { new Request(URL_, { method: "POST", body: "x", duplex: "half" }); }, "the duplex half");

test(() => {
  const first = new Request(URL_, { method: "PUT", headers: { a: "1" }, body: "text", redirect: "manual" });
  const second = new Request(first);
  assert_equals(second.method, "PUT");
  assert_equals(second.url, URL_);
  assert_equals(second.headers.get("a"), "1");
  assert_equals(second.headers.get("content-type"), "text/plain;charset=UTF-8");
  assert_equals(second.redirect, "manual");
  assert_not_equals(second.headers, first.headers);
  assert_true(first.bodyUsed);
  assert_false(second.bodyUsed);
}, "of another request: all is taken over, the body too");
promise_test(async () => {
  const first = new Request(URL_, { method: "POST", body: "one" });
  const second = new Request(first, { body: "two" });
  assert_false(first.bodyUsed);
  assert_equals(await first.text(), "one");
  assert_equals(await second.text(), "two");
}, "of another request, with another body");
promise_test(async () => assert_equals(await new Request(new Request(URL_, { method: "POST", body: "one" })).text(), "one"), "a body that was taken over can be read");
promise_test(async (t) => {
  const first = new Request(URL_, { method: "POST", body: "one" });
  await first.text();
  assert_throws_js(TypeError, () => new Request(first));
  assert_equals(await new Request(first, { body: "two" }).text(), "two");
}, "of a request whose body was used");
test(() => {
  const first = new Request(URL_, { method: "POST", body: "one" });
  assert_throws_js(TypeError, () => new Request(first, { method: "GET" }));
  assert_false(first.bodyUsed);
}, "of a request with a body, as GET");
test(() => {
  const first = new Request(URL_, { headers: { a: "1", b: "2" } });
  assert_array_equals([...new Request(first, { headers: { c: "3" } }).headers].flat(), ["c", "3"]);
  assert_array_equals([...new Request(first, { headers: {} }).headers], []);
}, "headers of the init replace all");
promise_test(async (t) => {
  const first = new Request(URL_, { method: "POST", body: "one" });
  const moved = new Request(first);
  assert_true(first.bodyUsed);
  assert_true(first.body instanceof ReadableStream);
  await promise_rejects_js(t, TypeError, first.text());
}, "a body that was taken away cannot be read");
promise_test(async () => {
  const init = new Request(URL_, { method: "POST", headers: { a: "1" }, body: "text" });
  const request = new Request("https://example.com/", { method: init.method, headers: init.headers, body: init.body, duplex: "half" });
  assert_equals(request.headers.get("a"), "1");
  assert_equals(await request.text(), "text");
}, "of the parts of another request");
test(() => {
  const request = new Request("https://example.com/", new Request(URL_, { method: "PUT", headers: { a: "1" }, redirect: "error", mode: "same-origin" }));
  assert_equals(request.url, "https://example.com/");
  assert_equals(request.method, "PUT");
  assert_equals(request.headers.get("a"), "1");
  assert_equals(request.redirect, "error");
  assert_equals(request.mode, "same-origin");
}, "a request can be an init");
for (const name of ["method", "url", "headers", "destination", "referrer", "referrerPolicy", "mode", "credentials", "cache", "redirect", "integrity", "keepalive",
  "signal", "body", "bodyUsed", "duplex"]) {
  test(() => {
    const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(Request.prototype, name);
    assert_true(enumerable && configurable && set === undefined);
    assert_throws_js(TypeError, () => get.call({}));
    assert_throws_js(TypeError, () => Request.prototype[name]);
  }, `${name} is a read-only attribute`);
}
test(() => {
  class Derived extends Request { get host() { return new URL(this.url).host; } }
  assert_equals(new Derived(URL_).host, "example.org");
}, "a class can extend it");
test(() => {
  const request = new Request(URL_, { method: "POST", headers: { a: "1" }, redirect: "manual", body: "x" });
  const copy = request.clone();
  assert_equals(copy.method, "POST");
  assert_equals(copy.redirect, "manual");
  copy.headers.set("a", "2");
  assert_equals(request.headers.get("a"), "1");
}, "a clone has its own head");
