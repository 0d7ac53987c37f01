const AWAIT = Symbol.for("caddis.await");
const LEAVE = Symbol.for("caddis.leave");
const { prototype } = Object.getPrototypeOf(async function* () {});
const has = (value, mark) => typeof value === "object" && value !== null && Object.hasOwn(value, mark);

/** An async generator whose body is a generator, which says of what it yields whether it only waits for it. */
class Steps {
  #steps;
  /** Who asked for the next values; the first is being served. */
  #queue = [];

  constructor(steps) {
    this.#steps = steps;
  }
  next(value) { return this.#ask("next", value); }
  throw(error) { return this.#ask("throw", error); }
  return(value) { return this.#ask("return", value); }
  #ask(method, value) {
    return new Promise((resolve, reject) => {
      this.#queue.push({ method, value, resolve, reject });
      if (this.#queue.length === 1) this.#go(method, value);
    });
  }
  #go(method, value) {
    let step;
    try {
      step = this.#steps[method](value);
    } catch (error) {
      return this.#answer("reject", error);
    }
    const { done } = step;
    // A generator that it delegates to has ended because this one is to return: so it does now.
    if (has(step.value, LEAVE)) return this.#go("return", this.#queue[0].value);
    const waits = has(step.value, AWAIT);
    Promise.resolve(waits ? step.value[AWAIT] : step.value).then(
      (value) => (waits && !done ? this.#go("next", value) : this.#answer("resolve", { value, done })),
      (error) => (done ? this.#answer("reject", error) : this.#go("throw", error)),
    );
  }
  #answer(how, value) {
    this.#queue.shift()[how](value);
    if (this.#queue.length > 0) this.#go(this.#queue[0].method, this.#queue[0].value);
  }
}
Object.setPrototypeOf(Steps.prototype, Object.getPrototypeOf(prototype));
Object.defineProperty(Steps.prototype, Symbol.toStringTag, { value: "AsyncGenerator", configurable: true });

export default (body) => function () { return new Steps(body.apply(this, arguments)); };
