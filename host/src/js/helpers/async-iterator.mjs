/** What `for await` goes through. */
export default (iterable) => {
  const asynchronous = iterable[Symbol.asyncIterator];
  if (asynchronous !== undefined && asynchronous !== null) return asynchronous.call(iterable);
  const iterator = iterable[Symbol.iterator]();
  const settle = ({ value, done }) => Promise.resolve(value).then((value) => ({ value, done }));
  const call = async (method, value) => settle(iterator[method](value));
  return {
    next: (value) => call("next", value),
    return: (value) => (iterator.return === undefined ? Promise.resolve({ value, done: true }) : call("return", value)),
    throw: (error) => (iterator.throw === undefined ? Promise.reject(error) : call("throw", error)),
    [Symbol.asyncIterator]() { return this; },
  };
};
