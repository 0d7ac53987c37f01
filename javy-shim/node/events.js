// EventEmitter and what goes with it.

import { coded, invalidType, outOfRange, requireFunction } from "node:internal/errors";
import { inspect } from "caddis:inspect";

export const errorMonitor = Symbol("events.errorMonitor");
export const captureRejectionSymbol = Symbol.for("nodejs.rejection");
let defaultMax = 10;

// A function, not a class: packages call it on objects of their own.
export function EventEmitter(options = undefined) {
  begin(this, options);
}
Object.assign(EventEmitter.prototype, { _events: undefined, _eventsCount: 0, _maxListeners: undefined });

function begin(emitter, options) {
  if (emitter._events === undefined || emitter._events === Object.getPrototypeOf(emitter)._events) {
    emitter._events = Object.create(null);
    emitter._eventsCount = 0;
  }
  emitter._maxListeners ??= undefined;
  if (options?.captureRejections) {
    Object.defineProperty(emitter, captures, { value: true, configurable: true, writable: true });
  }
}
const captures = Symbol("captureRejections");

/** The listeners of an event as an array, which is not to be changed. */
function listenersOf(emitter, event) {
  const found = emitter._events?.[event];
  return found === undefined ? [] : typeof found === "function" ? [found] : found;
}

function setListeners(emitter, event, list) {
  const events = emitter._events;
  if (list.length === 0) {
    if (events[event] === undefined) return;
    delete events[event];
    emitter._eventsCount -= 1;
  } else {
    if (events[event] === undefined) emitter._eventsCount += 1;
    events[event] = list.length === 1 ? list[0] : list;
  }
}

function add(emitter, event, listener, first) {
  requireFunction(listener, "listener");
  if (emitter._events === undefined) begin(emitter);
  if (emitter._events.newListener !== undefined) emitter.emit("newListener", event, listener.listener ?? listener);
  const list = listenersOf(emitter, event);
  const grown = first ? [listener, ...list] : [...list, listener];
  setListeners(emitter, event, grown);
  const max = emitter.getMaxListeners?.() ?? defaultMax;
  if (max > 0 && grown.length === max + 1) {
    const name = emitter.constructor?.name ?? "EventEmitter";
    console.warn(`MaxListenersExceededWarning: ${grown.length} ${String(event)} listeners added to [${name}]. Use emitter.setMaxListeners() to increase the limit`);
  }
  return emitter;
}

function wrapOnce(emitter, event, listener) {
  requireFunction(listener, "listener");
  const wrapped = function (...args) {
    emitter.removeListener(event, wrapped);
    return listener.apply(emitter, args);
  };
  wrapped.listener = listener;
  return wrapped;
}

/** Tells the emitter of a listener's rejected promise. */
function capture(emitter, event, args, result) {
  result.then(undefined, (error) => {
    const handler = emitter[captureRejectionSymbol];
    if (typeof handler === "function") handler.call(emitter, error, event, ...args);
    else emitter.emit("error", error);
  });
}

function unhandled(error) {
  if (error instanceof Error) return error;
  const wrapped = coded(Error, "ERR_UNHANDLED_ERROR", `Unhandled error. (${typeof error === "string" ? `'${error}'` : inspect(error)})`);
  wrapped.context = error;
  return wrapped;
}

const METHODS = {
  on(event, listener) { return add(this, event, listener, false); },
  prependListener(event, listener) { return add(this, event, listener, true); },
  once(event, listener) { return this.on(event, wrapOnce(this, event, listener)); },
  prependOnceListener(event, listener) { return this.prependListener(event, wrapOnce(this, event, listener)); },
  removeListener(event, listener) {
    requireFunction(listener, "listener");
    const list = listenersOf(this, event);
    const at = list.findLastIndex((candidate) => candidate === listener || candidate.listener === listener);
    if (at < 0) return this;
    setListeners(this, event, list.toSpliced(at, 1));
    if (this._events.removeListener !== undefined) this.emit("removeListener", event, listener.listener ?? listener);
    return this;
  },
  removeAllListeners(event = undefined) {
    if (this._events === undefined) return this;
    const names = arguments.length > 0 ? [event] : Reflect.ownKeys(this._events);
    const told = this._events.removeListener !== undefined;
    for (const name of names) {
      if (told && name !== "removeListener") {
        for (const listener of listenersOf(this, name).toReversed()) this.removeListener(name, listener);
      } else setListeners(this, name, []);
    }
    if (told && arguments.length === 0) setListeners(this, "removeListener", []);
    return this;
  },
  emit(event, ...args) {
    if (event === "error" && this._events?.[errorMonitor] !== undefined) this.emit(errorMonitor, ...args);
    const list = listenersOf(this, event);
    if (list.length === 0) {
      if (event === "error") throw unhandled(args[0]);
      return false;
    }
    for (const listener of list) {
      const result = listener.apply(this, args);
      if (this[captures] && event !== "error" && typeof result?.then === "function") capture(this, event, args, result);
    }
    return true;
  },
  listeners(event) { return listenersOf(this, event).map((listener) => listener.listener ?? listener); },
  rawListeners(event) { return [...listenersOf(this, event)]; },
  listenerCount(event, listener = undefined) {
    return listener === undefined ? listenersOf(this, event).length : this.listeners(event).filter((other) => other === listener).length;
  },
  eventNames() { return this._events === undefined ? [] : Reflect.ownKeys(this._events); },
  setMaxListeners(max) {
    if (typeof max !== "number" || !(max >= 0)) throw outOfRange("n", "a non-negative number", max);
    this._maxListeners = max;
    return this;
  },
  getMaxListeners() { return this._maxListeners ?? defaultMax; },
};
Object.assign(EventEmitter.prototype, METHODS, { addListener: METHODS.on, off: METHODS.removeListener });

const aborted = (signal) => Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError", code: "ABORT_ERR" });

/** Attaches to an EventEmitter or an EventTarget; returns what takes it off again. */
function listen(target, event, listener) {
  if (typeof target?.on === "function") {
    target.on(event, listener);
    return () => target.removeListener(event, listener);
  }
  if (typeof target?.addEventListener !== "function") throw invalidType("emitter", "an instance of EventEmitter", target);
  target.addEventListener(event, listener);
  return () => target.removeEventListener(event, listener);
}

/** A promise of the arguments of the next event of this name. */
export function once(emitter, event, { signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const detach = [];
    const settle = (action) => (...args) => {
      for (const off of detach) off();
      action(...args);
    };
    detach.push(listen(emitter, event, settle((...args) => resolve(args))));
    if (event !== "error" && typeof emitter.on === "function") detach.push(listen(emitter, "error", settle(reject)));
    if (signal !== undefined) detach.push(listen(signal, "abort", settle(() => reject(aborted(signal)))));
  });
}

/** The arguments of each event of this name, in turn. */
export function on(emitter, event, { signal, close = [] } = {}) {
  if (signal?.aborted) throw aborted(signal);
  const arrived = [];
  const waiting = [];
  let failure;
  let done = false;
  const finish = (error) => {
    for (const off of detach) off();
    done = true;
    if (error !== undefined) failure = error;
    for (const { resolve, reject } of waiting.splice(0)) {
      if (failure === undefined) resolve({ value: undefined, done: true });
      else reject(failure);
      failure = undefined;
    }
  };
  const detach = [listen(emitter, event, (...args) => {
    if (waiting.length > 0) waiting.shift().resolve({ value: args, done: false });
    else arrived.push(args);
  })];
  if (event !== "error" && typeof emitter.on === "function") detach.push(listen(emitter, "error", finish));
  for (const name of close) detach.push(listen(emitter, name, () => finish()));
  if (signal !== undefined) detach.push(listen(signal, "abort", () => finish(aborted(signal))));
  return {
    next() {
      if (arrived.length > 0) return Promise.resolve({ value: arrived.shift(), done: false });
      if (failure !== undefined) {
        const error = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (done) return Promise.resolve({ value: undefined, done: true });
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return() {
      finish();
      return Promise.resolve({ value: undefined, done: true });
    },
    throw(error) {
      finish(error);
      return Promise.reject(error);
    },
    [Symbol.asyncIterator]() { return this; },
  };
}

export const listenerCount = (emitter, event) => emitter.listenerCount(event);
export const getEventListeners = (emitter, event) => emitter.listeners?.(event) ?? [];
export const getMaxListeners = (emitter) => emitter.getMaxListeners?.() ?? defaultMax;
export function setMaxListeners(max = defaultMax, ...targets) {
  if (targets.length === 0) defaultMax = max;
  for (const target of targets) target.setMaxListeners?.(max);
}
export function addAbortListener(signal, listener) {
  if (signal.aborted) queueMicrotask(() => listener());
  const off = listen(signal, "abort", listener);
  return { [Symbol.dispose]: off };
}

export class EventEmitterAsyncResource extends EventEmitter {}

export const defaultMaxListeners = defaultMax;
Object.defineProperty(EventEmitter, "defaultMaxListeners", {
  get: () => defaultMax, set(max) { defaultMax = max; }, enumerable: true, configurable: true,
});
Object.assign(EventEmitter, {
  EventEmitter, EventEmitterAsyncResource, addAbortListener, captureRejectionSymbol, errorMonitor, getEventListeners, getMaxListeners,
  listenerCount, on, once, setMaxListeners, usingDomains: false,
});
export default EventEmitter;
