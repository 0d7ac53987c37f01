// A parameter decorator as a decorator of its method.
export default (index, decorator) => (target, key) => decorator(target, key, index);
