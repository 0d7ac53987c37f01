// Thrown values in words, and rejections nobody handles.

import { native } from "./native.js";

/** `[message, stack]` of a thrown value; the stack begins with the message, as authors know it. */
export function describe(thrown) {
  if (!(thrown instanceof Error) && !(thrown instanceof DOMException)) return [`Uncaught ${print(thrown)}`, undefined];
  const title = titleOf(thrown);
  return [title, withCauses(thrown, title)];
}

function titleOf(error) {
  const name = error.name === undefined ? "Error" : String(error.name);
  const message = String(error.message ?? "");
  if (message === "") return name;
  return name === "" ? message : `${name}: ${message}`;
}

function print(value) {
  try {
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  } catch {
    return "value";
  }
}

/** The stack, and those of its causes. A cause may refer back to an error that was printed. */
export function withCauses(error, title = titleOf(error)) {
  const seen = new Set();
  let text = "";
  for (let current = error; current !== undefined && !seen.has(current); current = current.cause) {
    seen.add(current);
    const isError = current instanceof Error || current instanceof DOMException;
    const head = current === error ? title : isError ? titleOf(current) : print(current);
    const frames = isError && typeof current.stack === "string" ? `\n${current.stack.trimEnd()}` : "";
    text += text === "" ? `${head}${frames}` : `\nCaused by: ${head}${frames}`;
    if (!isError) break;
  }
  return text;
}

const unhandled = new Map();
/** The last rejection nobody handled: it often is why a promise never settles. */
let lastUnhandled;

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
    lastUnhandled = describe(reason);
    native.log(4, `Unhandled promise rejection: ${lastUnhandled[1] ?? lastUnhandled[0]}`);
  }
  return true;
}

export const takeLastUnhandled = () => lastUnhandled;

/** Fires `unhandledrejection`; false when a listener prevented the default. */
function dispatchRejection(promise, reason) {
  const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
  return globalThis.dispatchEvent(event);
}

/** An exception that escaped a callback: fires `error`, and logs it when no listener took it. */
export function reportError(error) {
  const [message, stack] = describe(error);
  const event = new ErrorEvent("error", { message, error, cancelable: true });
  if (globalThis.dispatchEvent(event)) native.log(4, `Uncaught ${stack ?? message}`);
}
