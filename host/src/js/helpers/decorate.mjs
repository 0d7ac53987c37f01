// Applies the decorators of a class, or of a member when a key is given, last to first.
export default function decorate(decorators, target, key, descriptor) {
  const isClass = arguments.length < 3;
  const isMethod = arguments.length > 3;
  let value = target;
  if (!isClass) value = descriptor === null ? Object.getOwnPropertyDescriptor(target, key) : descriptor;
  for (const decorator of decorators.toReversed()) {
    if (isClass) value = decorator(value) || value;
    else value = (isMethod ? decorator(target, key, value) : decorator(target, key)) || value;
  }
  if (isMethod && value) Object.defineProperty(target, key, value);
  return value;
}
