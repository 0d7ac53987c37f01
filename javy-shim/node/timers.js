// Timers that are objects.

import { coded } from "node:internal/errors";

const { clearImmediate: clearImmediateId, clearInterval: clearIntervalId, clearTimeout: clearTimeoutId } = globalThis;
const { setImmediate: startImmediate, setInterval: startInterval, setTimeout: startTimeout } = globalThis;

/** A timer. Where a number is wanted it is one, so that the global functions take it too. */
class Timer {
  #start;
  #clear;
  #id;

  constructor(start, clear) {
    this.#start = start;
    this.#clear = clear;
    this.#id = start();
  }
  ref() { return this; }
  unref() { return this; }
  hasRef() { return true; }
  refresh() {
    this.close();
    this.#id = this.#start();
    return this;
  }
  close() {
    this.#clear(this.#id);
    return this;
  }
  [Symbol.toPrimitive]() { return this.#id; }
  [Symbol.dispose]() { this.close(); }
}
export class Timeout extends Timer {}
export class Immediate extends Timer {}

function requireCallback(callback) {
  if (typeof callback !== "function") throw coded(TypeError, "ERR_INVALID_ARG_TYPE", 'The "callback" argument must be of type function');
}

export function setTimeout(callback, delay = 1, ...args) {
  requireCallback(callback);
  return new Timeout(() => startTimeout(callback, delay, ...args), clearTimeoutId);
}
export function setInterval(callback, delay = 1, ...args) {
  requireCallback(callback);
  return new Timeout(() => startInterval(callback, delay, ...args), clearIntervalId);
}
export function setImmediate(callback, ...args) {
  requireCallback(callback);
  return new Immediate(() => startImmediate(callback, ...args), clearImmediateId);
}

const clear = (timer) => {
  if (timer !== null && timer !== undefined) clearTimeoutId(timer);
};
export { clear as clearImmediate, clear as clearInterval, clear as clearTimeout };

export default {
  clearImmediate: clear, clearInterval: clear, clearTimeout: clear, setImmediate, setInterval, setTimeout,
  get promises() { return promises; },
};

import promises from "node:timers/promises";
export { promises };
