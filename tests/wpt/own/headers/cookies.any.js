// META: title=Headers: Set-Cookie, whose values are not joined

const two = () => new Headers([["Set-Cookie", "a=1"], ["x", "y"], ["set-cookie", "b=2"]]);
test(() => assert_array_equals(two().getSetCookie(), ["a=1", "b=2"]), "getSetCookie lists them");
test(() => assert_array_equals(new Headers({ x: "y" }).getSetCookie(), []), "getSetCookie of none");
test(() => assert_array_equals(new Headers({ "set-cookie": "" }).getSetCookie(), [""]), "getSetCookie of an empty one");
test(() => assert_array_equals(new Headers([["set-cookie", "a"], ["set-cookie", "a"]]).getSetCookie(), ["a", "a"]), "getSetCookie of two alike");
test(() => assert_equals(two().get("set-cookie"), "a=1, b=2"), "get joins them");
test(() => assert_array_equals([...two()].flat(), ["set-cookie", "a=1", "set-cookie", "b=2", "x", "y"]), "iteration gives each");
test(() => {
  const headers = two();
  headers.set("set-cookie", "c=3");
  assert_array_equals(headers.getSetCookie(), ["c=3"]);
}, "set replaces all");
test(() => {
  const headers = two();
  headers.delete("Set-Cookie");
  assert_array_equals(headers.getSetCookie(), []);
}, "delete removes all");
test(() => assert_array_equals(new Headers(two()).getSetCookie(), ["a=1", "b=2"]), "a copy has each");
test(() => {
  const response = new Response(null, { headers: two() });
  assert_array_equals(response.headers.getSetCookie(), ["a=1", "b=2"]);
}, "a response made of them has each");
test(() => assert_equals(Object.getPrototypeOf(new Headers().getSetCookie()), Array.prototype), "the list is an array");
test(() => {
  const headers = two();
  headers.append("set-cookie", "c=3");
  assert_array_equals([...headers.values()], ["a=1", "b=2", "c=3", "y"]);
}, "one that is appended comes last");
