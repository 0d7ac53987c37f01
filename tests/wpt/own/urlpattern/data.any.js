// META: title=URLPattern, with the patterns and inputs of web-platform-tests

const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];
/** What, once it is given, makes a wildcard of a component that is not. */
const BEFORE = {
  protocol: [], username: [], password: [], hostname: ["protocol"], port: ["protocol", "hostname"], pathname: ["protocol", "hostname", "port"],
  search: ["protocol", "hostname", "port", "pathname"], hash: ["protocol", "hostname", "port", "pathname", "search"],
};

/** The text a component of the pattern should have: the data leaves out what follows from the arguments. */
function expectedText({ pattern: [init, base], expected_obj: given, exactly_empty_components: empty = [] }, component) {
  if (given?.[component] !== undefined) return given[component];
  if (empty.includes(component)) return "";
  if (typeof init === "object") {
    if (init[component] !== undefined) return init[component];
    if (BEFORE[component].some((earlier) => earlier in init)) return "*";
  }
  const address = init?.baseURL ?? (typeof base === "string" ? base : undefined);
  if (address === undefined || component === "username" || component === "password") return "*";
  const value = new URL(address)[component];
  return component === "protocol" ? value.slice(0, -1) : component === "search" || component === "hash" ? value.slice(1) : value;
}

function expectedComponent({ expected_match: match, exactly_empty_components: empty = [] }, component) {
  const { input, groups } = match[component] ?? { input: "", groups: empty.includes(component) ? {} : { 0: "" } };
  return { input, groups: Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, value ?? undefined])) };
}

function check(entry) {
  if (entry.expected_obj === "error") return assert_throws_js(TypeError, () => new URLPattern(...entry.pattern));
  const pattern = new URLPattern(...entry.pattern);
  for (const component of COMPONENTS) assert_equals(pattern[component], expectedText(entry, component), component);
  const inputs = entry.inputs ?? [];
  if (entry.expected_match === "error") {
    assert_throws_js(TypeError, () => pattern.test(...inputs));
    return assert_throws_js(TypeError, () => pattern.exec(...inputs));
  }
  const matches = entry.expected_match !== null && entry.expected_match !== undefined;
  assert_equals(pattern.test(...inputs), matches);
  const result = pattern.exec(...inputs);
  if (!matches) return assert_equals(result, null);
  assert_object_equals(result.inputs, entry.expected_match.inputs ?? inputs, "inputs");
  for (const component of COMPONENTS) assert_object_equals(result[component], expectedComponent(entry, component), component);
}

promise_test(async () => {
  const entries = await (await fetch("/urlpattern/resources/urlpatterntestdata.json")).json();
  assert_greater_than(entries.length, 300);
  const seen = new Map();
  for (const entry of entries.filter((entry) => entry.skip === undefined)) {
    const name = JSON.stringify({ pattern: entry.pattern, inputs: entry.inputs });
    seen.set(name, (seen.get(name) ?? 0) + 1);
    test(() => check(entry), `${name}${seen.get(name) > 1 ? ` (${seen.get(name)})` : ""}`);
  }
}, "there are patterns");
