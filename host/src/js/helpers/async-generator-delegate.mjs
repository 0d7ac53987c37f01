const wait = (value) => ({ [Symbol.for("caddis.await")]: value });

/** The inside of `yield*` in an async generator that is a generator. */
export default function* (inner) {
  let method = "next";
  let sent;
  let open = true;
  try {
    for (;;) {
      if (typeof inner[method] !== "function") throw new TypeError(`The iterator has no method ${method}`);
      const { value, done } = yield wait(inner[method](sent));
      if (done) {
        open = false;
        return value;
      }
      try {
        sent = yield value;
        method = "next";
      } catch (error) {
        [method, sent] = ["throw", error];
      }
    }
  } finally {
    if (open && method !== "throw" && typeof inner.return === "function") yield wait(inner.return());
  }
}
