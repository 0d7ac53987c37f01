// META: title=Headers: which names and values there can be

const BAD_NAMES = ["", " ", "a b", "a:", "a\n", "\u00e9", "\u0100", "a\u0000", "(", "a,b", "a@b", "{}", "a[1]", "\"a\"", "a/b", "a?", "a="];
const BAD_VALUES = ["a\u0000b", "a\rb", "a\nb", "a\r\nb", "\u0100", "snow \u2603", "\ud800"];
const GOOD_NAMES = ["a", "A-B", "x!#$%&'*+-.^_`|~9", "1"];
const METHODS = {
  append: (headers, name, value) => headers.append(name, value),
  set: (headers, name, value) => headers.set(name, value),
  delete: (headers, name) => headers.delete(name),
  get: (headers, name) => headers.get(name),
  has: (headers, name) => headers.has(name),
};

for (const [method, call] of Object.entries(METHODS)) {
  for (const name of BAD_NAMES) {
    test(() => assert_throws_js(TypeError, () => call(new Headers(), name, "v")), `${method} refuses the name ${JSON.stringify(name)}`);
  }
  for (const name of GOOD_NAMES) {
    test(() => { call(new Headers(), name, "v"); }, `${method} takes the name ${JSON.stringify(name)}`);
  }
}

for (const method of ["append", "set"]) {
  for (const value of BAD_VALUES) {
    test(() => assert_throws_js(TypeError, () => METHODS[method](new Headers(), "a", value)), `${method} refuses the value ${JSON.stringify(value)}`);
  }
  for (const [value, stored] of [["", ""], [" ", ""], ["\t x \r\n", "x"], ["a b", "a b"], ["\u00e9\u00ff", "\u00e9\u00ff"], ["\u0001\u007f", "\u0001\u007f"]]) {
    test(() => {
      const headers = new Headers();
      METHODS[method](headers, "a", value);
      assert_equals(headers.get("a"), stored);
    }, `${method} stores ${JSON.stringify(value)} as ${JSON.stringify(stored)}`);
  }
}

for (const [value, stored] of [[null, "null"], [undefined, "undefined"], [1.5, "1.5"], [true, "true"], [["a", "b"], "a,b"], [{ toString: () => "t" }, "t"]]) {
  test(() => {
    const headers = new Headers();
    headers.set("a", value);
    headers.append("b", value);
    assert_equals(headers.get("a"), stored);
    assert_equals(headers.get("b"), stored);
  }, `a value that is no string is converted: ${stored}`);
}
test(() => assert_throws_js(TypeError, () => new Headers().set("a", Symbol("s"))), "a symbol is no value");
test(() => assert_throws_js(TypeError, () => new Headers().set(Symbol("s"), "a")), "a symbol is no name");
test(() => {
  const headers = new Headers();
  headers.set(null, "a");
  assert_equals(headers.get("null"), "a");
  assert_true(headers.has(null));
}, "a name that is no string is converted");
