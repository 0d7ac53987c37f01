// Thrown values in words, and rejections nobody handles.

import { native } from "./native.js";
import { stackOf, titleOf } from "./stacks.js";

/** `[message, stack]` of a thrown value; the stack begins with the message, as authors know it. */
export function describe(thrown) {
  if (!isError(thrown)) return [`Uncaught ${print(thrown)}`, undefined];
  const title = titleOf(thrown);
  return [title, withCauses(thrown, title)];
}

function print(value) {
  try {
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  } catch {
    return "value";
  }
}

/** How many errors of an AggregateError are printed. */
const MANY = 10;

const isError = (value) => value instanceof Error || value instanceof DOMException;
const textOf = (value) => (isError(value) ? stackOf(value) : print(value));

/** The same of what may throw when it is looked at. */
function describeAny(thrown) {
  try {
    return describe(thrown);
  } catch {
    return ["Uncaught value that cannot be printed", undefined];
  }
}

/** The stack, and those of its causes. A cause may refer back to an error that was printed. */
export function withCauses(error, title = titleOf(error)) {
  const seen = new Set();
  let text = "";
  for (let current = error; current !== undefined && !seen.has(current); current = current.cause) {
    seen.add(current);
    text += current === error ? stackOf(error, title) : `\nCaused by: ${textOf(current)}`;
    if (!isError(current)) break;
    if (current instanceof AggregateError && Array.isArray(current.errors)) {
      for (const one of current.errors.slice(0, MANY)) text += `\nOne of its errors: ${textOf(one)}`;
      if (current.errors.length > MANY) text += `\n... and ${current.errors.length - MANY} more`;
    }
  }
  return text;
}

const unhandled = new Map();
/** The last rejection nobody handled, or error that escaped a callback, as `[message, stack]`: it often is why a promise never settles. */
let last = [];

export function trackRejection(promise, reason, handled) {
  if (handled) unhandled.delete(promise);
  else unhandled.set(promise, reason);
}

/** Called when no job is left: whatever is unhandled now stays so. Returns whether it ran code that may have made new jobs. */
export function reportRejections() {
  if (unhandled.size === 0) return false;
  const rejections = [...unhandled];
  unhandled.clear();
  for (const [promise, reason] of rejections) {
    if (!dispatchRejection(promise, reason)) continue;
    last = describeAny(reason);
    native.log(4, `Unhandled promise rejection: ${last[1] ?? last[0]}`);
  }
  return true;
}

export const lastUnhandled = () => last;

export function forgetUnhandled() {
  unhandled.clear();
  last = [];
}

/** Fires `unhandledrejection`; false when a listener prevented the default. */
function dispatchRejection(promise, reason) {
  const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
  return globalThis.dispatchEvent(event);
}

/** An exception that escaped a callback: fires `error`, and logs it when no listener took it. */
export function reportError(error) {
  const [message, stack] = describe(error);
  const event = new ErrorEvent("error", { message, error, cancelable: true });
  if (!globalThis.dispatchEvent(event)) return;
  last = [message, stack];
  native.log(4, isError(error) ? `Uncaught ${stack}` : message);
}
