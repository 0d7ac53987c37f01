// AsyncLocalStorage and AsyncResource. There are no hooks: nothing here has a number, and nobody is told of what happens.

import { context, replace, within } from "node:internal/async-context";

export class AsyncLocalStorage {
  #default;

  constructor({ defaultValue, name = "" } = {}) {
    this.#default = defaultValue;
    Object.defineProperty(this, "name", { value: name, configurable: true });
  }
  static bind(action) { return AsyncResource.bind(action); }
  static snapshot() {
    const made = context();
    return (action, ...args) => within(made, action, undefined, args);
  }
  getStore() { return context().has(this) ? context().get(this) : this.#default; }
  run(store, action, ...args) { return within(new Map(context()).set(this, store), action, undefined, args); }
  exit(action, ...args) { return within(this.#without(), action, undefined, args); }
  enterWith(store) { replace(new Map(context()).set(this, store)); }
  disable() { replace(this.#without()); }
  #without() {
    const others = new Map(context());
    others.delete(this);
    return others;
  }
}

export class AsyncResource {
  #context = context();

  constructor(type) {
    this.type = type;
  }
  static bind(action, type = action.name) { return new AsyncResource(type).bind(action); }
  runInAsyncScope(action, receiver, ...args) { return within(this.#context, action, receiver, args); }
  bind(action, receiver = undefined) {
    const made = this.#context;
    return function (...args) { return within(made, action, receiver ?? this, args); };
  }
  emitDestroy() { return this; }
  asyncId() { return 1; }
  triggerAsyncId() { return 0; }
}

export const createHook = () => ({ enable() { return this; }, disable() { return this; } });
export const executionAsyncId = () => 1;
export const triggerAsyncId = () => 0;
export const executionAsyncResource = () => ({});
export const asyncWrapProviders = Object.freeze({});

export default {
  AsyncLocalStorage, AsyncResource, asyncWrapProviders, createHook, executionAsyncId, executionAsyncResource, triggerAsyncId,
};
