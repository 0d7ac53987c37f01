// Named channels that libraries report to; here only what is in the function itself listens.

const channels = new Map();

export class Channel {
  #subscribers = [];

  constructor(name) {
    this.name = name;
  }
  get hasSubscribers() { return this.#subscribers.length > 0; }
  subscribe(listener) { this.#subscribers = [...this.#subscribers, listener]; }
  unsubscribe(listener) {
    const before = this.#subscribers.length;
    this.#subscribers = this.#subscribers.filter((other) => other !== listener);
    return this.#subscribers.length < before;
  }
  publish(message) {
    for (const listener of this.#subscribers) listener(message, this.name);
  }
  bindStore() {}
  unbindStore() {}
  runStores(context, action, receiver, ...args) {
    this.publish(context);
    return Reflect.apply(action, receiver, args);
  }
}

export function channel(name) {
  if (!channels.has(name)) channels.set(name, new Channel(name));
  return channels.get(name);
}
export const hasSubscribers = (name) => channels.get(name)?.hasSubscribers ?? false;
export const subscribe = (name, listener) => channel(name).subscribe(listener);
export const unsubscribe = (name, listener) => channel(name).unsubscribe(listener);

/** The five channels of one operation. */
export function tracingChannel(name) {
  const one = (event) => channel(`tracing:${name}:${event}`);
  const [start, end, asyncStart, asyncEnd, error] = ["start", "end", "asyncStart", "asyncEnd", "error"].map(one);
  function traceSync(action, context = {}, receiver = undefined, ...args) {
    start.publish(context);
    try {
      return (context.result = Reflect.apply(action, receiver, args));
    } catch (thrown) {
      context.error = thrown;
      error.publish(context);
      throw thrown;
    } finally {
      end.publish(context);
    }
  }
  const tracePromise = (action, context = {}, receiver = undefined, ...args) =>
    Promise.resolve(traceSync(action, context, receiver, ...args)).finally(() => {
      asyncStart.publish(context);
      asyncEnd.publish(context);
    });
  return { start, end, asyncStart, asyncEnd, error, traceSync, tracePromise, traceCallback: traceSync };
}

export default { Channel, channel, hasSubscribers, subscribe, tracingChannel, unsubscribe };
