// setTimeout and its kin (HTML standard, section 8.6), queueMicrotask.

import { defineGlobals, native } from "./native.js";
import { reportError } from "./errors.js";

/** Timers by their public number: an interval changes its host timer with each turn. */
const active = new Map();
let last = 0;

function start(callback, delay, repeat, args) {
  const action = typeof callback === "function" ? () => callback.apply(globalThis, args) : () => (0, eval)(String(callback));
  // As Web IDL converts to a 32-bit number: what is too large becomes small.
  const wait = Math.max(Number(delay) | 0, 0);
  const id = (last += 1);
  const run = () => {
    if (repeat) active.set(id, native.setTimer(Math.max(wait, 1), run));
    else active.delete(id);
    try {
      action();
    } catch (error) {
      reportError(error);
    }
  };
  active.set(id, native.setTimer(wait, run));
  return id;
}

function clear(id) {
  const key = Number(id);
  const timer = active.get(key);
  if (timer === undefined) return;
  active.delete(key);
  native.clearTimer(timer);
}

function setTimeout(callback, delay = 0, ...args) {
  return start(callback, delay, false, args);
}
function setInterval(callback, delay = 0, ...args) {
  return start(callback, delay, true, args);
}
function setImmediate(callback, ...args) {
  return start(callback, 0, false, args);
}
function clearTimeout(id = undefined) { clear(id); }
function clearInterval(id = undefined) { clear(id); }
function clearImmediate(id = undefined) { clear(id); }
function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("queueMicrotask: the argument is not a function");
  Promise.resolve().then(() => {
    try {
      callback();
    } catch (error) {
      reportError(error);
    }
  });
}

defineGlobals({
  setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate, queueMicrotask,
});
