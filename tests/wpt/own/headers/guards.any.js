// META: title=Headers: those that cannot be changed, and those of messages

const refuses = (headers) => {
  assert_throws_js(TypeError, () => headers.append("a", "1"));
  assert_throws_js(TypeError, () => headers.set("a", "1"));
  assert_throws_js(TypeError, () => headers.delete("a"));
};
test(() => refuses(Response.error().headers), "those of Response.error()");
test(() => refuses(Response.redirect("https://example.org/").headers), "those of Response.redirect()");
test(() => assert_throws_js(TypeError, () => Response.error().headers.append("a b", "1")), "a bad name and a guard are both a TypeError");
test(() => {
  const { headers } = new Response();
  headers.set("a", "1");
  assert_equals(headers.get("a"), "1");
  assert_equals(new Response().headers.get("a"), null);
}, "those of a new response can be changed");
test(() => {
  const response = new Response();
  assert_equals(response.headers, response.headers);
  const request = new Request("https://example.org/");
  assert_equals(request.headers, request.headers);
}, "the object is the same each time");
test(() => {
  const init = new Headers({ a: "1" });
  const request = new Request("https://example.org/", { headers: init });
  init.set("a", "2");
  assert_equals(request.headers.get("a"), "1");
}, "a message has a copy");
test(() => {
  const copy = new Headers(Response.redirect("https://example.org/").headers);
  copy.set("a", "1");
  assert_equals(copy.get("location"), "https://example.org/");
}, "a copy of those that cannot be changed can be");
test(() => {
  const headers = new Response("text", { headers: { "Content-Type": "a/b" } }).headers;
  assert_equals(headers.get("content-type"), "a/b");
}, "a content type that is given stays");
