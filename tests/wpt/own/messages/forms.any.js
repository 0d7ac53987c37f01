// META: title=Bodies: forms

const response = (body, type) => new Response(body, { headers: { "content-type": type } });
const flat = (form) => [...form].map(([name, value]) => [name, typeof value === "string" ? value : value.name]).flat();

promise_test(async () => {
  const form = await response("a=1&b=%E2%82%AC+x&a=", "application/x-www-form-urlencoded").formData();
  assert_true(form instanceof FormData);
  assert_array_equals(flat(form), ["a", "1", "b", "\u20ac x", "a", ""]);
}, "URL-encoded");
promise_test(async () => assert_array_equals(flat(await response("a=1", "Application/X-WWW-Form-UrlEncoded; charset=x").formData()), ["a", "1"]), "URL-encoded, whatever the case");
promise_test(async () => assert_array_equals(flat(await response("", "application/x-www-form-urlencoded").formData()), []), "URL-encoded, empty");
promise_test(async () => assert_array_equals(flat(await response(new Uint8Array([0x61, 0x3d, 0xff]), "application/x-www-form-urlencoded").formData()), ["a", "\ufffd"]), "URL-encoded, not UTF-8");
promise_test(async () => assert_array_equals(flat(await response("\ufeffa=\ufeffb", "application/x-www-form-urlencoded").formData()), ["\ufeffa", "\ufeffb"]), "URL-encoded, byte order marks stay");
promise_test(async () => assert_array_equals(flat(await new Response(new URLSearchParams({ a: "b&c" })).formData()), ["a", "b&c"]), "of URLSearchParams");

const MULTIPART = [
  "--x", 'Content-Disposition: form-data; name="a"', "", "1",
  "--x", 'content-disposition: form-data; name="file"; filename="f.txt"', "Content-Type: text/css", "", "two\r\nlines",
  "--x", 'Content-Disposition: form-data; name="plain"; filename=""', "", "",
  "--x--", "",
].join("\r\n");
promise_test(async () => {
  const form = await response(MULTIPART, "multipart/form-data; boundary=x").formData();
  assert_array_equals([...form.keys()], ["a", "file", "plain"]);
  assert_equals(form.get("a"), "1");
  const file = form.get("file");
  assert_true(file instanceof File);
  assert_equals(file.name, "f.txt");
  assert_equals(file.type, "text/css");
  assert_equals(await file.text(), "two\r\nlines");
  assert_equals(form.get("plain").name, "");
  assert_equals(form.get("plain").type, "text/plain");
}, "multipart");
promise_test(async () => assert_equals((await response(MULTIPART, 'multipart/form-data; boundary="x"').formData()).get("a"), "1"), "multipart, a quoted boundary");
promise_test(async () => assert_equals((await response(MULTIPART, "Multipart/Form-Data; charset=utf-8; Boundary=x").formData()).get("a"), "1"), "multipart, other parameters and cases");
promise_test(async () => assert_array_equals(flat(await response("--x--\r\n", "multipart/form-data; boundary=x").formData()), []), "multipart, empty");
for (const [what, body, type] of [
  ["no boundary", MULTIPART, "multipart/form-data"],
  ["another boundary", MULTIPART, "multipart/form-data; boundary=y"],
  ["no end", MULTIPART.slice(0, -8), "multipart/form-data; boundary=x"],
  ["no name", '--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"],
  ["no head", "--x\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x"],
  ["another type", "a=1", "text/plain"],
  ["JSON", "{}", "application/json"],
  ["nothing", "", "multipart/form-data; boundary=x"],
]) {
  promise_test((t) => promise_rejects_js(t, TypeError, response(body, type).formData()), `not a form: ${what}`);
}
for (const [name, value] of [["a", "1"], ["", ""], ["\u20ac", "\u{1f600}"], ['q"uo', "a\r\nb"], ["line\nbreak", "x"], ["semi;colon", "back\\slash"]]) {
  promise_test(async () => {
    const form = new FormData();
    form.append(name, value);
    assert_array_equals(flat(await new Response(form).formData()), [name.replace(/\r\n|\r|\n/g, "\r\n"), value.replace(/\r\n|\r|\n/g, "\r\n")]);
  }, `there and back: ${JSON.stringify([name, value])}`);
}
for (const filename of ["a.txt", "", "\u20ac.txt", 'q"uote', "new\nline", "a;b", "c\\d"]) {
  promise_test(async () => {
    const form = new FormData();
    form.append("file", new File([new Uint8Array([0, 255, 13, 10])], filename, { type: "x/y" }));
    const file = (await new Request("https://example.org/", { method: "POST", body: form }).formData()).get("file");
    assert_equals(file.name, filename);
    assert_equals(file.type, "x/y");
    assert_array_equals(await file.bytes(), [0, 255, 13, 10]);
  }, `a file there and back: ${JSON.stringify(filename)}`);
}
promise_test(async () => {
  const form = new FormData();
  form.append("%22", "%22");
  assert_array_equals(flat(await new Response(form).formData()), ['"', "%22"]);
}, "the escapes of names are undone, though none was made");
promise_test(async () => {
  const form = new FormData();
  form.append("b", new Blob(["x"]));
  form.append("c", new Blob(["y"], { type: "a/b" }), "named");
  const read = await new Response(form).formData();
  assert_equals(read.get("b").name, "blob");
  assert_equals(read.get("b").type, "application/octet-stream");
  assert_equals(read.get("c").name, "named");
}, "blobs become files");
test(() => {
  const form = new FormData();
  form.append("a", "1");
  form.append("b", "2");
  form.append("a", "3");
  assert_array_equals(form.getAll("a"), ["1", "3"]);
  form.set("a", "4");
  assert_array_equals(flat(form), ["a", "4", "b", "2"]);
  form.delete("a");
  assert_false(form.has("a"));
  assert_equals(form.get("a"), null);
}, "a FormData is a list");
test(() => {
  const form = new FormData();
  assert_throws_js(TypeError, () => form.append("a", "1", "name"));
  assert_throws_js(TypeError, () => form.append("a"));
  assert_throws_js(TypeError, () => form.set("a", {}, "name"));
  assert_throws_js(TypeError, () => form.get());
  assert_throws_js(TypeError, () => form.has());
  assert_throws_js(TypeError, () => form.delete());
  assert_throws_js(TypeError, () => new FormData("x"));
}, "FormData checks its arguments");
test(() => {
  const form = new FormData();
  form.append("a", new File(["x"], "old", { lastModified: 5, type: "x/y" }), "new");
  const file = form.get("a");
  assert_equals(file.name, "new");
  assert_equals(file.type, "x/y");
  assert_true(form.get("a") === file);
}, "a file can be given another name");
test(() => {
  const form = new FormData();
  form.append("a", null);
  form.append("\ud800", "\udfff");
  assert_array_equals(flat(form), ["a", "null", "\ufffd", "\ufffd"]);
}, "names and values are converted");
test(() => {
  const form = new FormData();
  form.append("a", "1");
  const names = [];
  for (const [name] of form) {
    names.push(name);
    if (names.length < 3) form.append(`b${names.length}`, "2");
  }
  assert_array_equals(names, ["a", "b1", "b2"]);
}, "iteration sees what is added");
