// META: title=Headers: what they can be made of

const content = (init) => [...new Headers(init)].flat();

test(() => assert_array_equals(content(), []), "nothing");
test(() => assert_array_equals(content(undefined), []), "undefined");
for (const init of [null, 1, "a", true, Symbol.iterator, 5n]) {
  test(() => assert_throws_js(TypeError, () => new Headers(init)), `not ${typeof init} (${String(init)})`);
}
test(() => assert_array_equals(content({ b: "1", A: "2" }), ["a", "2", "b", "1"]), "a record");
test(() => assert_array_equals(content({}), []), "an empty record");
test(() => assert_array_equals(content([["b", "1"], ["a", "2"]]), ["a", "2", "b", "1"]), "a list of pairs");
test(() => assert_array_equals(content([]), []), "an empty list");
test(() => assert_array_equals(content(new Map([["a", "1"]])), ["a", "1"]), "a Map");
test(() => assert_array_equals(content(new Headers({ a: "1" })), ["a", "1"]), "other Headers");
test(() => assert_array_equals(content(new URLSearchParams("a=1&b=2")), ["a", "1", "b", "2"]), "URLSearchParams");
test(() => assert_array_equals(content((function* () { yield ["a", "1"]; yield new Set(["b", "2"]); })()), ["a", "1", "b", "2"]), "a generator of iterables");
for (const [what, pair] of [["one item", ["a"]], ["three items", ["a", "b", "c"]], ["a string", "ab"], ["null", null], ["a number", 1], ["no iterable", {}]]) {
  test(() => assert_throws_js(TypeError, () => new Headers([pair])), `a pair that is ${what}`);
}
test(() => assert_throws_js(TypeError, () => new Headers({ "a b": "1" })), "a record with a bad name");
test(() => assert_throws_js(TypeError, () => new Headers({ a: "\n1\n2" })), "a record with a bad value");
test(() => assert_throws_js(TypeError, () => new Headers({ a: "\u0100" })), "a record with a value past latin1");
test(() => assert_throws_js(TypeError, () => new Headers({ [Symbol("s")]: "1" })), "a record with a symbol as name");
test(() => assert_throws_js(TypeError, () => new Headers({ [Symbol.iterator]: 5 })), "an iterator that is no function");
test(() => {
  class Base { get inherited() { return "x"; } }
  const init = new Base();
  init.own = "1";
  Object.defineProperty(init, "hidden", { value: "2", enumerable: false });
  assert_array_equals(content(init), ["own", "1"]);
}, "own enumerable properties only");
test(() => {
  const log = [];
  const handler = {
    ownKeys(target) { log.push("keys"); return Reflect.ownKeys(target); },
    getOwnPropertyDescriptor(target, key) { log.push(`descriptor ${key}`); return Reflect.getOwnPropertyDescriptor(target, key); },
    get(target, key, receiver) { log.push(`get ${String(key)}`); return Reflect.get(target, key, receiver); },
  };
  new Headers(new Proxy({ b: "1", a: "2" }, handler));
  assert_array_equals(log, ["get Symbol(Symbol.iterator)", "keys", "descriptor b", "get b", "descriptor a", "get a"]);
}, "a record is read in the order of Web IDL");
test(() => {
  const headers = new Headers({ a: "1" });
  headers[Symbol.iterator] = function* () { yield ["b", "2"]; };
  assert_array_equals(content(headers), ["b", "2"]);
}, "an iterator of its own is asked");
test(() => {
  const first = new Headers({ a: "1" });
  const second = new Headers(first);
  second.set("a", "2");
  assert_equals(first.get("a"), "1");
}, "a copy is one");
test(() => assert_throws_js(TypeError, () => Headers()), "not without new");
test(() => assert_equals(String(new Headers()), "[object Headers]"), "their name");
test(() => assert_equals(Headers.length, 0), "the length of the constructor");
test(() => assert_equals(Headers.prototype[Symbol.iterator], Headers.prototype.entries), "entries is the iterator");
for (const [name, length] of Object.entries({ append: 2, delete: 1, entries: 0, forEach: 1, get: 1, getSetCookie: 0, has: 1, keys: 0, set: 2, values: 0 })) {
  test(() => {
    const descriptor = Object.getOwnPropertyDescriptor(Headers.prototype, name);
    assert_true(descriptor.enumerable && descriptor.writable && descriptor.configurable);
    assert_equals(descriptor.value.length, length);
    assert_throws_js(TypeError, () => descriptor.value.call({}, "a", "b"));
    for (let count = 0; count < length; count += 1) {
      assert_throws_js(TypeError, () => new Headers()[name](...["a", "b"].slice(0, count)));
    }
  }, `${name} is an operation of Web IDL`);
}
class Derived extends Headers { also() { return this.get("a"); } }
test(() => assert_equals(new Derived({ a: "1" }).also(), "1"), "a class can extend them");
