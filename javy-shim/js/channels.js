// MessageChannel and MessagePort (HTML standard, section 9.4), within one program.

import { defineGlobals, finishClass } from "./native.js";
import { defineHandler, EventTarget, MessageEvent } from "./events.js";

let mayConstruct = false;
let entangle;

/** Whether a value is a MessagePort. */
export let isPort;
/** Whether a port was moved to another object. */
export let isGone;
/** Moves what a port is and has got to another, empty one. */
export let movePort;

/** A port that belongs to no channel yet. */
export function emptyPort() {
  mayConstruct = true;
  try {
    return new MessagePort();
  } finally {
    mayConstruct = false;
  }
}

class MessagePort extends EventTarget {
  #other = null;
  #started = false;
  #closed = false;
  #gone = false;
  /** Messages that came before the port was started. */
  #waiting = [];

  constructor() {
    if (!mayConstruct) throw new TypeError("Illegal constructor");
    super();
  }
  postMessage(message, options = undefined) {
    if (arguments.length === 0) throw new TypeError("postMessage: 1 argument required, but only 0 present");
    const transfer = Array.isArray(options) ? options : options?.transfer;
    if (transfer?.includes?.(this)) throw new DOMException("A port cannot be sent through itself", "DataCloneError");
    const data = structuredClone(message, { transfer });
    const other = this.#other;
    if (other === null || other.#closed) return;
    if (other.#started) other.#deliver(data);
    else other.#waiting.push(data);
  }
  start() {
    if (this.#started) return;
    this.#started = true;
    for (const data of this.#waiting.splice(0)) this.#deliver(data);
  }
  close() {
    this.#closed = true;
    this.#waiting.length = 0;
    if (this.#other !== null) this.#other.#other = null;
    this.#other = null;
  }
  #deliver(data) {
    setTimeout(() => { if (!this.#closed) this.dispatchEvent(new MessageEvent("message", { data })); });
  }

  static {
    entangle = (first, second) => {
      first.#other = second;
      second.#other = first;
    };
    isPort = (value) => typeof value === "object" && value !== null && #waiting in value;
    isGone = (value) => isPort(value) && value.#gone;
    movePort = (from, to) => {
      if (from.#other !== null) entangle(to, from.#other);
      to.#waiting = from.#waiting;
      from.#waiting = [];
      from.#other = null;
      from.#gone = true;
    };
  }
}
for (const type of ["message", "messageerror"]) defineHandler(MessagePort.prototype, type);
// A handler of messages starts the port, as `start` does.
const onmessage = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  ...onmessage,
  set(value) {
    onmessage.set.call(this, value);
    this.start();
  },
});
finishClass(MessagePort, "postMessage", "start", "close");

class MessageChannel {
  #port1;
  #port2;
  constructor() {
    this.#port1 = emptyPort();
    this.#port2 = emptyPort();
    entangle(this.#port1, this.#port2);
  }
  get port1() { return this.#port1; }
  get port2() { return this.#port2; }
}
finishClass(MessageChannel, "port1", "port2");

defineGlobals({ MessageChannel, MessagePort });
