// What kind of value something is.

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);
const classOf = (...classes) => (value) => classes.some((found) => value instanceof found);
const typedArrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
const typedArray = (name) => (value) => typedArrayName.call(value) === name;

export const isAnyArrayBuffer = (value) => tag(value) === "ArrayBuffer" || tag(value) === "SharedArrayBuffer";
export const isArrayBuffer = classOf(ArrayBuffer);
export const isSharedArrayBuffer = (value) => tag(value) === "SharedArrayBuffer";
export const isArrayBufferView = ArrayBuffer.isView;
export const isDataView = classOf(DataView);
export const isTypedArray = (value) => typedArrayName.call(value) !== undefined;
export const isUint8Array = typedArray("Uint8Array");
export const isUint8ClampedArray = typedArray("Uint8ClampedArray");
export const isUint16Array = typedArray("Uint16Array");
export const isUint32Array = typedArray("Uint32Array");
export const isInt8Array = typedArray("Int8Array");
export const isInt16Array = typedArray("Int16Array");
export const isInt32Array = typedArray("Int32Array");
export const isFloat16Array = typedArray("Float16Array");
export const isFloat32Array = typedArray("Float32Array");
export const isFloat64Array = typedArray("Float64Array");
export const isBigInt64Array = typedArray("BigInt64Array");
export const isBigUint64Array = typedArray("BigUint64Array");

export const isDate = classOf(Date);
export const isRegExp = classOf(RegExp);
export const isMap = classOf(Map);
export const isSet = classOf(Set);
export const isWeakMap = classOf(WeakMap);
export const isWeakSet = classOf(WeakSet);
export const isPromise = classOf(Promise);
export const isNativeError = (value) => Error.isError(value);
export const isMapIterator = (value) => tag(value) === "Map Iterator";
export const isSetIterator = (value) => tag(value) === "Set Iterator";
export const isGeneratorObject = (value) => tag(value) === "Generator";
export const isArgumentsObject = (value) => tag(value) === "Arguments";
export const isModuleNamespaceObject = (value) => tag(value) === "Module";
export const isAsyncFunction = (value) => typeof value === "function" && ["AsyncFunction", "AsyncGeneratorFunction"].includes(tag(value));
export const isGeneratorFunction = (value) =>
  typeof value === "function" && ["GeneratorFunction", "AsyncGeneratorFunction"].includes(tag(value));

export const isStringObject = classOf(String);
export const isNumberObject = classOf(Number);
export const isBooleanObject = classOf(Boolean);
export const isBigIntObject = (value) => typeof value === "object" && tag(value) === "BigInt";
export const isSymbolObject = (value) => typeof value === "object" && tag(value) === "Symbol";
export const isBoxedPrimitive = (value) =>
  isStringObject(value) || isNumberObject(value) || isBooleanObject(value) || isBigIntObject(value) || isSymbolObject(value);

export const isCryptoKey = (value) => value instanceof CryptoKey;
export const isKeyObject = (value) => tag(value) === "KeyObject";
// A script cannot tell these.
export const isProxy = () => false;
export const isExternal = () => false;

export default {
  isAnyArrayBuffer, isArgumentsObject, isArrayBuffer, isArrayBufferView, isAsyncFunction, isBigInt64Array, isBigIntObject, isBigUint64Array,
  isBooleanObject, isBoxedPrimitive, isCryptoKey, isDataView, isDate, isExternal, isFloat16Array, isFloat32Array, isFloat64Array,
  isGeneratorFunction, isGeneratorObject, isInt16Array, isInt32Array, isInt8Array, isKeyObject, isMap, isMapIterator,
  isModuleNamespaceObject, isNativeError, isNumberObject, isPromise, isProxy, isRegExp, isSet, isSetIterator, isSharedArrayBuffer,
  isStringObject, isSymbolObject, isTypedArray, isUint16Array, isUint32Array, isUint8Array, isUint8ClampedArray, isWeakMap, isWeakSet,
};
