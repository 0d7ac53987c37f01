// The clock of the web platform under the name it has in Node.js.

export const { performance, Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, PerformanceObserver } = globalThis;
export const constants = {};
export default { constants, performance, Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, PerformanceObserver };
