// META: title=fetch of data: URLs, with the inputs of web-platform-tests

promise_test(async () => {
  const cases = await (await fetch("/fetch/data-urls/resources/data-urls.json")).json();
  assert_greater_than(cases.length, 50);
  for (const [url, type, bytes] of cases) {
    promise_test(async (t) => {
      if (type === null) return promise_rejects_js(t, TypeError, fetch(url));
      const response = await fetch(url);
      assert_equals(response.headers.get("content-type"), type);
      assert_array_equals(await response.bytes(), bytes);
    }, `a data: URL: ${JSON.stringify(url)}`);
  }
}, "there are data: URLs");

promise_test(async () => {
  const cases = await (await fetch("/fetch/data-urls/resources/base64.json")).json();
  assert_greater_than(cases.length, 50);
  for (const [text, bytes] of cases) {
    promise_test(async (t) => {
      const url = `data:;base64,${text}`;
      if (bytes === null) return promise_rejects_js(t, TypeError, fetch(url));
      assert_array_equals(await (await fetch(url)).bytes(), bytes);
    }, `base64: ${JSON.stringify(text)}`);
  }
}, "there is base64");
