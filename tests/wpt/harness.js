// The function the runner deploys: each request runs one test file, in a sandbox of its own. `HARNESS` is testharness.js.

// Compiled here, so that it is in the image; evaluated once per request.
const load = (0, eval)(`(function () {${HARNESS}\n})`);

/** Milliseconds without a result after which the rest of a file counts as timed out. */
const PATIENCE = 30_000;
const { setTimeout: later, clearTimeout: forget, fetch: send } = globalThis;

/** Relative URLs are good in the constructor of Request, as in a page: a function has no URL to resolve them with. */
function resolveIn(base) {
  const absolute = (input) => (typeof input === "string" ? URL.parse(input, base)?.href ?? input : input);
  self.Request = new Proxy(Request, {
    construct: (target, [input, ...rest], newTarget) => Reflect.construct(target, [absolute(input), ...rest], newTarget),
  });
  const { redirect } = Response;
  Response.redirect = (input, ...rest) => redirect(absolute(input), ...rest);
}

export default async function run(request) {
  const { path, search, source, files } = await request.json();
  self.GLOBAL = { isWindow: () => false, isWorker: () => false, isShadowRealm: () => false };
  const { href, origin, host, pathname } = new URL(path.replace(/\.js$/, ".html") + search, "http://web-platform.test/");
  self.location = { href, origin, host, pathname, search, toString: () => href };
  // Ours are about functions.
  if (!path.startsWith("/own/")) resolveIn(href);
  self.fetch = async (input, init) => {
    const address = URL.parse(input?.url ?? input, href);
    const file = address?.host === host ? files[address.pathname] : undefined;
    const resolved = typeof input === "string" ? address ?? input : input;
    if (file === undefined) return send(resolved, init);
    const { signal } = new Request(resolved, init);
    return send(`data:text/plain,${encodeURIComponent(file)}`, { signal });
  };
  load();
  // idlharness.js wants to know what kind of global object this is, to tell which interfaces there should be.
  self.DedicatedWorkerGlobalScope = class { static [Symbol.hasInstance]() { return true; } };
  return new Promise((resolve) => {
    let timer;
    const wait = () => {
      forget(timer);
      timer = later(self.timeout, PATIENCE);
    };
    let thrown;
    add_result_callback(wait);
    add_completion_callback((tests, status) => {
      forget(timer);
      const error = thrown ?? (status.status === status.OK ? null : `${status.message}`);
      resolve(Response.json({ error, tests: tests.map((test) => [test.name, test.status, test.message]) }));
    });
    self.addEventListener("unhandledrejection", (event) => event.preventDefault());
    wait();
    try {
      (0, eval)(source);
    } catch (error) {
      thrown = `${error}`;
      forget(timer);
      later(self.timeout, 0);
    }
  });
}
