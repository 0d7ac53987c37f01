// FileReader (File API, section 6): reads a Blob by events. Old, but what packages for browsers use.

import { defineGlobals, finishClass, native, requireArguments } from "./native.js";
import { Blob, bytesOf } from "./blob.js";
import { TextDecoder } from "./encoding.js";
import { defineHandler, Event, EventTarget } from "./events.js";

const STATES = { EMPTY: 0, LOADING: 1, DONE: 2 };
const { EMPTY, LOADING, DONE } = STATES;

class ProgressEvent extends Event {
  #init;
  constructor(type, init = undefined) {
    super(...arguments);
    this.#init = { lengthComputable: Boolean(init?.lengthComputable), loaded: Number(init?.loaded ?? 0), total: Number(init?.total ?? 0) };
  }
  get lengthComputable() { return this.#init.lengthComputable; }
  get loaded() { return this.#init.loaded; }
  get total() { return this.#init.total; }
}
finishClass(ProgressEvent, "lengthComputable", "loaded", "total");

class FileReader extends EventTarget {
  #state = EMPTY;
  #result = null;
  #timer = null;

  get readyState() { return this.#state; }
  get result() { return this.#result; }
  // A blob is in memory: reading it cannot fail.
  get error() { return (this.#state, null); }

  readAsArrayBuffer(blob) {
    requireArguments(arguments, 1, "FileReader.readAsArrayBuffer");
    this.#read(blob, (bytes) => bytes.slice().buffer);
  }
  readAsBinaryString(blob) {
    requireArguments(arguments, 1, "FileReader.readAsBinaryString");
    this.#read(blob, binaryString);
  }
  readAsDataURL(blob) {
    requireArguments(arguments, 1, "FileReader.readAsDataURL");
    this.#read(blob, (bytes) => `data:${blob.type || "application/octet-stream"};base64,${bytes.toBase64()}`);
  }
  readAsText(blob, encoding = undefined) {
    requireArguments(arguments, 1, "FileReader.readAsText");
    const label = encoding === undefined ? undefined : `${encoding}`;
    this.#read(blob, (bytes) => decoderOf(bytes, label, blob.type).decode(bytes));
  }
  abort() {
    if (this.#state !== LOADING) {
      this.#result = null;
      return;
    }
    native.clearTimer(this.#timer);
    this.#timer = null;
    this.#state = DONE;
    this.#result = null;
    this.#fire("abort", 0);
    if (this.#state !== LOADING) this.#fire("loadend", 0);
  }

  #read(blob, convert) {
    if (!(blob instanceof Blob)) throw new TypeError("FileReader: the argument is not a Blob");
    if (this.#state === LOADING) throw new DOMException("The FileReader is reading already", "InvalidStateError");
    this.#state = LOADING;
    this.#result = null;
    const bytes = bytesOf(blob);
    const steps = [() => this.#fire("loadstart", 0, bytes.length)];
    if (bytes.length > 0) steps.push(() => this.#fire("progress", bytes.length, bytes.length));
    steps.push(() => {
      this.#state = DONE;
      this.#result = convert(bytes);
      this.#fire("load", bytes.length, bytes.length);
    }, () => this.#fire("loadend", bytes.length, bytes.length));
    this.#run(steps);
  }
  /** Each step is a task of its own. Those that are left do not run when a listener ended the reading, or began another. */
  #run([step, ...rest]) {
    this.#timer = native.setTimer(0, () => {
      const timer = this.#timer;
      step();
      if (rest.length > 0 && this.#timer === timer) this.#run(rest);
    });
  }
  #fire(type, loaded, total = 0) {
    this.dispatchEvent(new ProgressEvent(type, { lengthComputable: total > 0, loaded, total }));
  }
}
for (const [name, value] of Object.entries(STATES)) {
  for (const object of [FileReader, FileReader.prototype]) Object.defineProperty(object, name, { value, enumerable: true });
}
for (const type of ["loadstart", "progress", "load", "abort", "error", "loadend"]) defineHandler(FileReader.prototype, type);
finishClass(FileReader, "readyState", "result", "error", "readAsArrayBuffer", "readAsBinaryString", "readAsDataURL", "readAsText", "abort");

function binaryString(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** A byte order mark counts most, then the label that was asked for, then the charset of the blob. */
function decoderOf(bytes, label, type) {
  const [first, second] = bytes;
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be");
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le");
  if (first === 0xef && second === 0xbb && bytes[2] === 0xbf) return new TextDecoder();
  for (const candidate of [label, /;\s*charset="?([^";]+)/i.exec(type)?.[1]]) {
    try {
      if (candidate !== undefined) return new TextDecoder(candidate);
    } catch { /* The next one. */ }
  }
  return new TextDecoder();
}

defineGlobals({ FileReader, ProgressEvent });
