/** What an async generator that is a generator yields where it had an `await`. */
export default (value) => ({ [Symbol.for("caddis.await")]: value });
