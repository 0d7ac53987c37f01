// Timers as promises.

const { clearTimeout, setImmediate: startImmediate, setTimeout: startTimeout } = globalThis;

const aborted = (signal) => Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError", code: "ABORT_ERR" });

function wait(start, value, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const stop = () => {
      clearTimeout(id);
      reject(aborted(signal));
    };
    const id = start(() => {
      signal?.removeEventListener("abort", stop);
      resolve(value);
    });
    signal?.addEventListener("abort", stop, { once: true });
  });
}

export const setTimeout = (delay = 1, value = undefined, { signal } = {}) => wait((done) => startTimeout(done, delay), value, signal);
export const setImmediate = (value = undefined, { signal } = {}) => wait((done) => startImmediate(done), value, signal);
export async function* setInterval(delay = 1, value = undefined, options = undefined) {
  for (;;) yield setTimeout(delay, value, options);
}
export const scheduler = {
  wait: (delay, options = undefined) => setTimeout(delay, undefined, options),
  yield: () => setImmediate(),
};

export default { scheduler, setImmediate, setInterval, setTimeout };
