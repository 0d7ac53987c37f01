// META: title=Headers: a list of fields, and what is read of it

test(() => {
  const headers = new Headers();
  headers.append("A", "1");
  headers.append("a", "2");
  assert_equals(headers.get("A"), "1, 2");
  assert_equals(headers.get("a"), "1, 2");
}, "values of one name are joined, whatever the case of the name");
test(() => {
  const headers = new Headers({ a: "1" });
  headers.append("a", "");
  headers.append("a", "3");
  assert_equals(headers.get("a"), "1, , 3");
}, "an empty value is a value");
test(() => {
  const headers = new Headers([["a", "1"], ["b", "2"], ["a", "3"]]);
  headers.set("A", "4");
  assert_array_equals([...headers].flat(), ["a", "4", "b", "2"]);
}, "set replaces all values of a name");
test(() => {
  const headers = new Headers([["a", "1"], ["b", "2"], ["a", "3"]]);
  assert_equals(headers.delete("A"), undefined);
  assert_array_equals([...headers].flat(), ["b", "2"]);
  headers.delete("none");
  assert_array_equals([...headers.keys()], ["b"]);
}, "delete removes all values of a name, and is silent where there is none");
test(() => {
  assert_equals(new Headers().get("a"), null);
  assert_equals(new Headers({ a: "" }).get("a"), "");
  assert_false(new Headers().has("a"));
  assert_true(new Headers({ a: "" }).has("A"));
}, "a field that is not there is null, an empty one is empty");
test(() => {
  const headers = new Headers([["b", "1"], ["C", "2"], ["a", "3"], ["B", "4"]]);
  assert_array_equals([...headers.keys()], ["a", "b", "c"]);
  assert_array_equals([...headers.values()], ["3", "1, 4", "2"]);
  assert_array_equals([...headers.entries()].flat(), ["a", "3", "b", "1, 4", "c", "2"]);
  const seen = [];
  const context = {};
  headers.forEach(function (value, name, owner) { seen.push(name, value, owner === headers && this === context); }, context);
  assert_array_equals(seen, ["a", "3", true, "b", "1, 4", true, "c", "2", true]);
}, "iteration is sorted by name, in lower case, with joined values");
test(() => {
  const headers = new Headers([["a", "1"], ["c", "3"]]);
  const names = [];
  for (const [name] of headers) {
    names.push(name);
    if (name === "a") headers.append("b", "2");
  }
  assert_array_equals(names, ["a", "b", "c"]);
}, "a field that is added during iteration is seen");
test(() => {
  const headers = new Headers([["a", "1"], ["b", "2"], ["c", "3"]]);
  const names = [];
  for (const [name] of headers) {
    names.push(name);
    headers.delete(name);
  }
  assert_array_equals(names, ["a", "c"]);
}, "a field that is removed during iteration moves the others");
test(() => {
  const headers = new Headers([["a", "1"], ["b", "2"]]);
  const names = [];
  headers.forEach((_, name) => {
    names.push(name);
    if (name === "a") headers.append("z", "3");
  });
  assert_array_equals(names, ["a", "b", "z"]);
}, "forEach sees a field that is added meanwhile");
test(() => {
  const iterator = new Headers({ a: "1" }).entries();
  const prototype = Object.getPrototypeOf(iterator);
  assert_equals(prototype[Symbol.toStringTag], "Headers Iterator");
  assert_equals(Object.getPrototypeOf(prototype), Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));
  assert_equals(iterator[Symbol.iterator](), iterator);
  assert_object_equals(iterator.next(), { value: ["a", "1"], done: false });
  assert_object_equals(iterator.next(), { value: undefined, done: true });
  assert_false(Object.hasOwn(prototype, "return"));
}, "the iterator is one of Web IDL");
test(() => {
  const { next } = Object.getPrototypeOf(new Headers().entries());
  assert_throws_js(TypeError, () => next.call([][Symbol.iterator]()));
  assert_throws_js(TypeError, () => next.call(new URLSearchParams("a=1").entries()));
}, "next belongs to the iterators of Headers");
test(() => assert_throws_js(TypeError, () => new Headers().forEach()), "forEach without a function");
test(() => assert_throws_js(TypeError, () => new Headers().forEach({})), "forEach with what is no function");
