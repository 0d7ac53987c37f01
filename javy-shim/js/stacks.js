// The stacks of errors as programs know them: with the line that says what the error is, and without frames of the engine's own modules.

const raw = Object.getOwnPropertyDescriptor(Error.prototype, "stack").get;
const capture = Error.captureStackTrace;

/** Frames of the modules of this folder, and the one that JSON.parse adds for its input. */
const OWN_FRAME = /^ {4}at (?:.*\()?(?:caddis:|<input>).*\n?/gm;

/** What the engine writes, and not what a program has put there instead. */
const isFrames = (stack) => typeof stack === "string" && (stack === "" || stack.startsWith("    at "));

/** Name and message, as `toString` has them. */
export function titleOf(error) {
  const name = error.name === undefined ? "Error" : String(error.name);
  const message = String(error.message ?? "");
  if (message === "") return name;
  return name === "" ? message : `${name}: ${message}`;
}

/** The frames from where an error was made: not those of the constructors of its class. */
function framesFor(error, stack) {
  let frames = stack.replace(OWN_FRAME, "").trimEnd();
  for (let prototype = Object.getPrototypeOf(error); prototype !== null && prototype !== Error.prototype; prototype = Object.getPrototypeOf(prototype)) {
    const name = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value?.name;
    if (typeof name === "string" && name !== "" && frames.startsWith(`    at ${name} (`)) frames = frames.slice(frames.indexOf("\n") + 1 || frames.length);
  }
  return frames;
}

/** A stack that begins with the title. */
function told(error, stack, title) {
  if (!isFrames(stack)) return stack;
  const frames = framesFor(error, stack);
  return frames === "" ? title : `${title}\n${frames}`;
}

/** The stack of an error, which begins with its title unless a program has set another one. */
export function stackOf(error, title = titleOf(error)) {
  const stack = told(error, error.stack, title);
  return typeof stack === "string" && stack !== "" ? stack : title;
}

const define = (target, value) => Object.defineProperty(target, "stack", { value, writable: true, configurable: true, enumerable: false });

/** Makes an error look as if it came from where another one was made. */
export function moveTo(error, place) {
  define(error, told(error, raw.call(place), titleOf(error)));
  return error;
}

Object.defineProperty(Error.prototype, "stack", {
  get() { return told(this, raw.call(this), titleOf(this)); },
  set(value) { if (this !== Error.prototype) define(this, value); },
  configurable: true,
  enumerable: false,
});

Object.defineProperty(Error, "captureStackTrace", {
  value(target, constructor = undefined) {
    capture(target, constructor);
    if (isFrames(target.stack)) define(target, told(target, target.stack, titleOf(target)));
  },
  writable: true,
  configurable: true,
});
