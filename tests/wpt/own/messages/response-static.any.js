// META: title=Response.error(), Response.redirect() and Response.json()

test(() => {
  const response = Response.error();
  const expected = { type: "error", status: 0, ok: false, statusText: "", url: "", redirected: false, body: null, bodyUsed: false };
  for (const [name, value] of Object.entries(expected)) assert_equals(response[name], value, name);
  assert_array_equals([...response.headers], []);
}, "error");
test(() => assert_not_equals(Response.error(), Response.error()), "each error is another object");

for (const status of [301, 302, 303, 307, 308]) {
  test(() => {
    const response = Response.redirect("https://example.org/a?b#c", status);
    const expected = { type: "default", status, ok: false, redirected: false, url: "", statusText: "", body: null };
    for (const [name, value] of Object.entries(expected)) assert_equals(response[name], value, name);
    assert_equals(response.headers.get("location"), "https://example.org/a?b#c");
  }, `redirect with ${status}`);
}
test(() => assert_equals(Response.redirect("https://example.org/").status, 302), "redirect is 302 when nothing is said");
test(() => assert_equals(Response.redirect("HTTPS://EXAMPLE.org/\u00e9").headers.get("location"), "https://example.org/%C3%A9"), "redirect serializes the URL");
test(() => assert_equals(Response.redirect(new URL("https://example.org/x")).headers.get("location"), "https://example.org/x"), "redirect takes a URL object");
for (const status of [200, 300, 304, 305, 306, 309, 400, 0]) {
  test(() => assert_throws_js(RangeError, () => Response.redirect("https://example.org/", status)), `redirect not with ${status}`);
}
for (const url of ["http://", "https://a b/", "http://[::1/"]) {
  test(() => assert_throws_js(TypeError, () => Response.redirect(url)), `redirect not to ${url}`);
}
test(() => assert_throws_js(TypeError, () => Response.redirect()), "redirect needs a URL");
test(() => assert_throws_js(TypeError, () => Response.redirect("http://", 200)), "redirect looks at the URL first");

for (const [value, text] of [[{ a: 1 }, '{"a":1}'], [[1, null], "[1,null]"], ["x", '"x"'], [null, "null"], [true, "true"], [1.5, "1.5"], [{ toJSON: () => 5 }, "5"]]) {
  promise_test(async () => {
    const response = Response.json(value);
    assert_equals(response.type, "default");
    assert_equals(response.status, 200);
    assert_equals(response.headers.get("content-type"), "application/json");
    assert_equals(await response.text(), text);
  }, `json of ${text}`);
}
promise_test(async () => {
  const response = Response.json({}, { status: 404, statusText: "none", headers: { "content-type": "a/b", x: "y" } });
  assert_equals(response.status, 404);
  assert_equals(response.statusText, "none");
  assert_equals(response.headers.get("content-type"), "a/b");
  assert_equals(response.headers.get("x"), "y");
  assert_object_equals(await response.json(), {});
}, "json with an init");
for (const status of [204, 205, 304]) {
  test(() => assert_throws_js(TypeError, () => Response.json({}, { status })), `json not with ${status}`);
}
for (const [what, value] of [["undefined", undefined], ["a symbol", Symbol("s")], ["a function", () => {}]]) {
  test(() => assert_throws_js(TypeError, () => Response.json(value)), `json not of ${what}`);
}
test(() => assert_throws_js(TypeError, () => Response.json(1n)), "json not of a BigInt");
test(() => {
  const error = new Error("mine");
  assert_throws_exactly(error, () => Response.json({ get a() { throw error; } }));
}, "json passes on what a getter throws");
test(() => {
  const loop = {};
  loop.self = loop;
  assert_throws_js(TypeError, () => Response.json(loop));
}, "json not of a circle");
test(() => assert_throws_js(TypeError, () => Response.json()), "json needs an argument");
promise_test(async () => assert_equals(await Response.json("\ud800").text(), '"\\ud800"'), "json escapes lone surrogates");
for (const [name, length] of [["error", 0], ["redirect", 1], ["json", 1]]) {
  test(() => {
    const { value, enumerable } = Object.getOwnPropertyDescriptor(Response, name);
    assert_true(enumerable);
    assert_equals(value.length, length);
    assert_equals(value.name, name);
  }, `${name} is a static operation`);
}
