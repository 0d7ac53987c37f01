const wait = (value) => ({ [Symbol.for("caddis.await")]: value });
const LEAVE = { [Symbol.for("caddis.leave")]: true };

/** The inside of `yield*` in an async generator that is a generator. */
export default function* (inner) {
  let method = "next";
  let sent;
  let yielding = false;
  try {
    for (;;) {
      if (typeof inner[method] !== "function") throw new TypeError(`The iterator has no method ${method}`);
      const { value, done } = yield wait(inner[method](sent));
      if (done) return value;
      try {
        yielding = true;
        sent = yield value;
        method = "next";
      } catch (error) {
        [method, sent] = ["throw", error];
      }
      yielding = false;
    }
  } finally {
    // Whoever asks for the values wants no more of them.
    if (yielding && typeof inner.return === "function") {
      yield wait(inner.return());
      yield LEAVE;
    }
  }
}
