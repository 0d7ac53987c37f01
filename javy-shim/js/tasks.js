// Work that goes on after the response (waitUntil).

import { native } from "./native.js";
import { describe } from "./errors.js";

const pending = new Set();

/** Keeps the function running until the promise is settled. A rejection is logged and changes nothing. */
export function waitUntil(promise) {
  const task = Promise.resolve(promise).catch((error) => {
    const [message, stack] = describe(error);
    native.log(4, `A waitUntil promise was rejected: ${stack ?? message}`);
  }).finally(() => pending.delete(task));
  pending.add(task);
}

/** Whoever waits for them no longer does. */
export const forgetTasks = () => pending.clear();

export const hasTasks = () => pending.size > 0;

/** Resolves when no task is left; tasks may add tasks. */
export async function allTasks() {
  while (pending.size > 0) await Promise.all(pending);
}
