// EventTarget, Event and their kin (DOM standard, sections 2 and 3).

import { defineGlobals, finishClass, native, requireDictionary } from "./native.js";
import { reportError } from "./errors.js";

const NONE = 0;
const AT_TARGET = 2;

/** An own property of each event, which cannot be changed. */
let IS_TRUSTED;
let trusted;

export class Event {
  #type;
  #init;
  #target = null;
  #phase = NONE;
  #stopped = false;
  #canceled = false;
  #passive = false;
  #trusted = false;
  #time = native.elapsed();

  static NONE = 0;
  static CAPTURING_PHASE = 1;
  static AT_TARGET = 2;
  static BUBBLING_PHASE = 3;

  constructor(type, init = undefined) {
    if (arguments.length === 0) throw new TypeError("Event: 1 argument required, but only 0 present");
    requireDictionary(init, "Event");
    this.#type = String(type);
    this.#init = { bubbles: Boolean(init?.bubbles), cancelable: Boolean(init?.cancelable), composed: Boolean(init?.composed) };
    Object.defineProperty(this, "isTrusted", IS_TRUSTED);
  }
  get type() { return this.#type; }
  get target() { return this.#target; }
  get srcElement() { return this.#target; }
  get currentTarget() { return this.#phase === NONE ? null : this.#target; }
  get eventPhase() { return this.#phase; }
  get bubbles() { return this.#init.bubbles; }
  get cancelable() { return this.#init.cancelable; }
  get composed() { return this.#init.composed; }
  get defaultPrevented() { return this.#canceled; }
  get returnValue() { return !this.#canceled; }
  set returnValue(value) { if (!value) this.preventDefault(); }
  get cancelBubble() { return this.#propagationStopped; }
  set cancelBubble(value) { if (value) this.stopPropagation(); }
  get timeStamp() { return this.#time; }
  #propagationStopped = false;
  composedPath() { return this.#phase === NONE ? [] : [this.#target]; }
  stopPropagation() { this.#propagationStopped = true; }
  stopImmediatePropagation() { this.#propagationStopped = this.#stopped = true; }
  preventDefault() { if (this.#init.cancelable && !this.#passive) this.#canceled = true; }
  initEvent(type, bubbles = false, cancelable = false) {
    if (this.#phase !== NONE) return;
    this.#type = String(type);
    this.#init = { ...this.#init, bubbles: Boolean(bubbles), cancelable: Boolean(cancelable) };
    this.#canceled = this.#stopped = this.#propagationStopped = false;
  }

  static {
    IS_TRUSTED = {
      ...Object.getOwnPropertyDescriptor({ get isTrusted() { return this.#trusted; } }, "isTrusted"), configurable: false, enumerable: true,
    };
    /** An event that no program made. */
    trusted = (event) => {
      event.#trusted = true;
      return event;
    };
  }

  /** Runs the listeners; false when one prevented the default. */
  static dispatch(event, target, listeners) {
    if (event.#phase !== NONE) throw new DOMException("The event is already being dispatched", "InvalidStateError");
    event.#target = target;
    event.#phase = AT_TARGET;
    const stoppedBefore = event.#propagationStopped;
    // Capturing listeners first, also at the target.
    const ordered = stoppedBefore ? [] : [...listeners.filter((l) => l.capture), ...listeners.filter((l) => !l.capture)];
    for (const listener of ordered) {
      if (event.#stopped) break;
      if (listener.removed || listener.type !== event.#type) continue;
      if (listener.once) listener.remove();
      event.#passive = listener.passive;
      try {
        if (typeof listener.callback === "function") listener.callback.call(target, event);
        else listener.callback.handleEvent(event);
      } catch (error) {
        reportError(error);
      }
      event.#passive = false;
    }
    event.#phase = NONE;
    event.#stopped = event.#propagationStopped = false;
    return !event.#canceled;
  }
}
for (const [name, value] of Object.entries({ NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 })) {
  Object.defineProperty(Event, name, { value, enumerable: true, writable: false, configurable: false });
  Object.defineProperty(Event.prototype, name, { value, enumerable: true });
}
const dispatch = Event.dispatch;
delete Event.dispatch;
finishClass(Event, "type", "target", "currentTarget", "eventPhase", "bubbles", "cancelable", "defaultPrevented", "timeStamp");

export class CustomEvent extends Event {
  #detail;
  constructor(type, init = undefined) {
    super(...arguments);
    this.#detail = init?.detail ?? null;
  }
  get detail() { return this.#detail; }
}
finishClass(CustomEvent, "detail");

export class ErrorEvent extends Event {
  #init;
  constructor(type, init = {}) {
    super(type, init);
    this.#init = init;
  }
  get message() { return this.#init.message ?? ""; }
  get filename() { return this.#init.filename ?? ""; }
  get lineno() { return this.#init.lineno ?? 0; }
  get colno() { return this.#init.colno ?? 0; }
  get error() { return this.#init.error; }
}
finishClass(ErrorEvent);

export class PromiseRejectionEvent extends Event {
  #init;
  constructor(type, init) {
    super(type, init);
    this.#init = init;
  }
  get promise() { return this.#init.promise; }
  get reason() { return this.#init.reason; }
}
finishClass(PromiseRejectionEvent);

export class MessageEvent extends Event {
  #init;
  constructor(type, init = {}) {
    super(type, init);
    this.#init = init;
  }
  get data() { return this.#init.data ?? null; }
  get origin() { return this.#init.origin ?? ""; }
  get lastEventId() { return this.#init.lastEventId ?? ""; }
}
finishClass(MessageEvent);

/** The listeners of a target that never had one are not stored. */
const listenersOf = new WeakMap();

export class EventTarget {
  addEventListener(type, callback, options = undefined) {
    const target = this ?? globalThis;
    if (callback !== undefined && typeof callback !== "function" && typeof callback !== "object") {
      throw new TypeError("addEventListener: the listener is not a function or an object");
    }
    const isObject = typeof options === "object" && options !== null;
    const capture = Boolean(isObject ? options.capture : options);
    const once = Boolean(isObject && options.once);
    const passive = Boolean(isObject && options.passive);
    const signal = isObject ? options.signal : undefined;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError("addEventListener: the signal is not an AbortSignal");
    }
    if (callback === null || callback === undefined || signal?.aborted) return;
    const list = listenersOf.get(target) ?? [];
    listenersOf.set(target, list);
    const name = String(type);
    if (list.some((l) => l.type === name && l.callback === callback && l.capture === capture)) return;
    const listener = {
      type: name,
      callback,
      capture,
      once,
      passive,
      removed: false,
      remove() {
        listener.removed = true;
        const index = list.indexOf(listener);
        if (index >= 0) list.splice(index, 1);
      },
    };
    list.push(listener);
    signal?.addEventListener("abort", listener.remove, { once: true });
  }
  removeEventListener(type, callback, options = undefined) {
    const capture = Boolean(typeof options === "object" && options !== null ? options.capture : options);
    const name = String(type);
    const list = listenersOf.get(this ?? globalThis) ?? [];
    list.find((l) => l.type === name && l.callback === callback && l.capture === capture)?.remove();
  }
  dispatchEvent(event) {
    if (!(event instanceof Event)) throw new TypeError("dispatchEvent: the argument is not an Event");
    const target = this ?? globalThis;
    return dispatch(event, target, (listenersOf.get(target) ?? []).slice());
  }
}
finishClass(EventTarget, "addEventListener", "removeEventListener", "dispatchEvent");

/** An `on…` attribute: a listener that can be replaced and keeps its place. */
export function defineHandler(prototype, type) {
  const handlers = new WeakMap();
  Object.defineProperty(prototype, `on${type}`, {
    configurable: true,
    enumerable: true,
    get() { return handlers.get(this ?? globalThis)?.current ?? null; },
    set(value) {
      const target = this ?? globalThis;
      let slot = handlers.get(target);
      const usable = typeof value === "function" ? value : null;
      if (slot === undefined) {
        slot = { current: null, wrapper: (event) => slot.current?.call(target, event) };
        handlers.set(target, slot);
      }
      if (slot.current === null && usable !== null) EventTarget.prototype.addEventListener.call(target, type, slot.wrapper);
      if (usable === null) EventTarget.prototype.removeEventListener.call(target, type, slot.wrapper);
      slot.current = usable;
    },
  });
}

let mayConstruct = false;
const ABORT_MESSAGE = "This operation was aborted";

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  /** Signals that fire with this one, in the order in which they were made. */
  #dependents = [];
  /** Of a dependent signal: those it fires with. None of them is dependent. */
  #sources = null;

  constructor() {
    if (!mayConstruct) throw new TypeError("Illegal constructor");
    super();
  }
  get aborted() { return this.#aborted; }
  get reason() { return this.#reason; }
  throwIfAborted() { if (this.#aborted) throw this.#reason; }

  static abort(reason = new DOMException(ABORT_MESSAGE, "AbortError")) {
    const signal = newSignal();
    signal.#aborted = true;
    signal.#reason = reason;
    return signal;
  }
  static timeout(milliseconds) {
    const delay = Number(milliseconds);
    if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER)) throw new TypeError("AbortSignal.timeout: the time is not in range");
    const signal = newSignal();
    native.setTimer(delay, () => fire(signal, new DOMException("The operation timed out", "TimeoutError")));
    return signal;
  }
  static any(signals) {
    const signal = newSignal();
    const sources = Array.from(signals);
    if (!sources.every((source) => source instanceof AbortSignal)) throw new TypeError("AbortSignal.any: not an AbortSignal");
    const first = sources.find((source) => source.#aborted);
    if (first !== undefined) {
      signal.#aborted = true;
      signal.#reason = first.#reason;
    } else {
      const roots = new Set(sources.flatMap((source) => source.#sources ?? source));
      for (const root of roots) root.#dependents.push(signal);
      signal.#sources = [...roots];
    }
    return signal;
  }
  static fire(signal, reason) {
    if (signal.#aborted) return;
    // All dependents are aborted before any event is seen.
    const all = [signal, ...signal.#dependents.filter((dependent) => !dependent.#aborted)];
    signal.#dependents = [];
    for (const current of all) {
      current.#aborted = true;
      current.#reason = reason;
    }
    for (const current of all) current.dispatchEvent(trusted(new Event("abort")));
  }
}
const fire = AbortSignal.fire;
delete AbortSignal.fire;
defineHandler(AbortSignal.prototype, "abort");
finishClass(AbortSignal, "aborted", "reason", "throwIfAborted");

function newSignal() {
  mayConstruct = true;
  try {
    return new AbortSignal();
  } finally {
    mayConstruct = false;
  }
}

export class AbortController {
  #signal = newSignal();
  get signal() { return this.#signal; }
  abort(reason = new DOMException(ABORT_MESSAGE, "AbortError")) { fire(this.#signal, reason); }
}
finishClass(AbortController, "signal", "abort");

defineGlobals({ Event, CustomEvent, ErrorEvent, PromiseRejectionEvent, MessageEvent, EventTarget, AbortSignal, AbortController });
for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) {
  defineGlobals({ [name]: EventTarget.prototype[name].bind(globalThis) });
}
for (const type of ["error", "unhandledrejection"]) defineHandler(globalThis, type);
defineGlobals({ self: globalThis, reportError });
