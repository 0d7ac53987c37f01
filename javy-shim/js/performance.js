// performance (High Resolution Time, User Timing). Marks and measures belong to the request that makes them.

import { defineGlobals, finishClass, native, requireArguments, requireDictionary } from "./native.js";
import { EventTarget } from "./events.js";

let mayConstruct = false;
function make(action) {
  mayConstruct = true;
  try {
    return action();
  } finally {
    mayConstruct = false;
  }
}

class PerformanceEntry {
  #name;
  #type;
  #start;
  #duration;
  constructor(name, type, start, duration) {
    if (!mayConstruct) throw new TypeError("Illegal constructor");
    this.#name = name;
    this.#type = type;
    this.#start = start;
    this.#duration = duration;
  }
  get name() { return this.#name; }
  get entryType() { return this.#type; }
  get startTime() { return this.#start; }
  get duration() { return this.#duration; }
  toJSON() { return { name: this.name, entryType: this.entryType, startTime: this.startTime, duration: this.duration }; }
}
finishClass(PerformanceEntry, "name", "entryType", "startTime", "duration", "toJSON");

const detailOf = (options) => (options?.detail === undefined || options.detail === null ? null : structuredClone(options.detail));

class PerformanceMark extends PerformanceEntry {
  #detail;
  constructor(name, options = undefined) {
    requireArguments(arguments, 1, "PerformanceMark");
    requireDictionary(options, "PerformanceMark");
    const start = options?.startTime === undefined ? native.elapsed() : timeOf(options.startTime);
    if (start < 0) throw new TypeError("PerformanceMark: startTime is negative");
    make(() => super(`${name}`, "mark", start, 0));
    this.#detail = detailOf(options);
  }
  get detail() { return this.#detail; }
}
finishClass(PerformanceMark, "detail");

class PerformanceMeasure extends PerformanceEntry {
  #detail;
  constructor(name, start, end, detail) {
    super(name, "measure", start, end - start);
    this.#detail = detail;
  }
  get detail() { return this.#detail; }
}
finishClass(PerformanceMeasure, "detail");

function timeOf(value) {
  const time = Number(value);
  if (!Number.isFinite(time)) throw new TypeError("performance: a time is not finite");
  return time;
}

let entries = [];

/** The time a mark name or a number stands for. */
function pointOf(point) {
  if (typeof point === "number") {
    if (timeOf(point) < 0) throw new TypeError("performance: a time is negative");
    return point;
  }
  const mark = entries.findLast((entry) => entry.entryType === "mark" && entry.name === `${point}`);
  if (mark === undefined) throw new DOMException(`There is no mark named "${point}"`, "SyntaxError");
  return mark.startTime;
}

const inOrder = (list) => list.toSorted((a, b) => a.startTime - b.startTime);
const clear = (type, name) => {
  entries = entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== `${name}`));
};

class Performance extends EventTarget {
  #brand;
  constructor() {
    if (!mayConstruct) throw new TypeError("Illegal constructor");
    super();
  }
  get timeOrigin() { return (this.#brand, native.timeOrigin()); }
  now() { return (this.#brand, native.elapsed()); }
  toJSON() { return (this.#brand, { timeOrigin: this.timeOrigin }); }
  mark(name, options = undefined) {
    this.#brand;
    const mark = new PerformanceMark(...arguments);
    entries.push(mark);
    return mark;
  }
  measure(name, startOrOptions = undefined, endMark = undefined) {
    this.#brand;
    requireArguments(arguments, 1, "performance.measure");
    const options = typeof startOrOptions === "object" && startOrOptions !== null ? startOrOptions : undefined;
    const { start: from, end: to, duration } = options ?? { start: startOrOptions, end: endMark };
    if (options !== undefined && Object.keys(options).length > 0) {
      if (endMark !== undefined) throw new TypeError("performance.measure: an end mark and options exclude each other");
      if (from === undefined && to === undefined) throw new TypeError("performance.measure: the options have neither start nor end");
      if (from !== undefined && to !== undefined && duration !== undefined) {
        throw new TypeError("performance.measure: start, end and duration exclude each other");
      }
    }
    const end = endMark !== undefined ? pointOf(endMark)
      : to !== undefined ? pointOf(to)
      : from !== undefined && duration !== undefined ? pointOf(from) + timeOf(duration)
      : native.elapsed();
    const start = from !== undefined ? pointOf(from) : to !== undefined && duration !== undefined ? pointOf(to) - timeOf(duration) : 0;
    const measure = make(() => new PerformanceMeasure(`${name}`, start, end, detailOf(options)));
    entries.push(measure);
    return measure;
  }
  clearMarks(name = undefined) { return (this.#brand, clear("mark", name)); }
  clearMeasures(name = undefined) { return (this.#brand, clear("measure", name)); }
  getEntries() { return (this.#brand, inOrder(entries)); }
  getEntriesByType(type) {
    this.#brand;
    requireArguments(arguments, 1, "performance.getEntriesByType");
    return inOrder(entries.filter((entry) => entry.entryType === `${type}`));
  }
  getEntriesByName(name, type = undefined) {
    this.#brand;
    requireArguments(arguments, 1, "performance.getEntriesByName");
    return inOrder(entries.filter((entry) => entry.name === `${name}` && (type === undefined || entry.entryType === `${type}`)));
  }
}
finishClass(Performance, "timeOrigin", "now", "toJSON", "mark", "measure", "clearMarks", "clearMeasures", "getEntries", "getEntriesByType",
  "getEntriesByName");

defineGlobals({ Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, performance: make(() => new Performance()) });
