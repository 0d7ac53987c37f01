// What belongs to the code that runs now, and goes with it into its callbacks and beyond its awaits.
//
// QuickJS tells nobody when it goes on with an async function. Where this module is part of a program, the toolchain has turned the
// program's async functions into generators that wait by `then`, so that `then` sees every await.

/** The stores of the code that runs now: AsyncLocalStorage → value. A map is never changed, only replaced. */
let current = new Map();
const NONE = current;

export const context = () => current;

/** Calls a function in a context. */
export function within(context, action, receiver, args) {
  const outer = current;
  current = context;
  try {
    return Reflect.apply(action, receiver, args);
  } finally {
    current = outer;
  }
}

export function replace(context) {
  current = context;
}

/** The function, in the context of now. */
export function bind(action) {
  const made = current;
  if (made === NONE || typeof action !== "function") return action;
  return function (...args) { return within(made, action, this, args); };
}

function wrap(target, name, wrapped) {
  Object.defineProperty(target, name, { value: wrapped(target[name]), writable: true, configurable: true, enumerable: false });
}
wrap(Promise.prototype, "then", (original) => function then(onFulfilled, onRejected) {
  return original.call(this, bind(onFulfilled), bind(onRejected));
});
for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
  wrap(globalThis, name, (original) => ({ [name]: (callback, ...rest) => original(bind(callback), ...rest) })[name]);
}
