// CryptoKey, and the conversions of the Web Cryptography API that its operations share.

import { finishClass, native, viewOf } from "./native.js";

/** Makes a key, and looks inside one: `{ type, extractable, algorithm, usages, bytes }`. */
export let newKey;
export let stateOf;

let mayConstruct = false;

export class CryptoKey {
  #state;
  constructor() {
    if (!mayConstruct) throw new TypeError("Illegal constructor");
  }
  get type() { return this.#state.type; }
  get extractable() { return this.#state.extractable; }
  get algorithm() { return this.#state.algorithm; }
  get usages() { return this.#state.usages; }

  static {
    newKey = (type, extractable, algorithm, usages, bytes) => {
      mayConstruct = true;
      const key = new CryptoKey();
      mayConstruct = false;
      key.#state = { type, extractable, algorithm, usages, bytes };
      return key;
    };
    stateOf = (key) => {
      if (typeof key !== "object" || key === null || !(#state in key)) throw new TypeError("The argument is not a CryptoKey");
      return key.#state;
    };
  }
}
finishClass(CryptoKey, "type", "extractable", "algorithm", "usages");

export const fail = (name, text) => new DOMException(text, name);
export const notSupported = (text) => fail("NotSupportedError", text);

/** The result of a native function; its failures come as objects with a code. */
export function checked(result) {
  if (result.code !== undefined) throw fail(result.code, result.message);
  return result;
}

/** A copy of a buffer source. */
export function copy(data, what = "The data") {
  const view = viewOf(data);
  if (view === undefined) throw new TypeError(`${what} is not an ArrayBuffer or a view of one`);
  return view.slice();
}

const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

/** Usages in their order, without repetitions. */
export function usagesOf(values) {
  if (typeof values !== "object" || values === null || typeof values[Symbol.iterator] !== "function") {
    throw new TypeError("The usages are not a sequence");
  }
  const given = Array.from(values, String);
  for (const usage of given) if (!USAGES.includes(usage)) throw new TypeError(`"${usage}" is not a usage of a key`);
  return USAGES.filter((usage) => given.includes(usage));
}

export function allowOnly(usages, allowed) {
  for (const usage of usages) {
    if (!allowed.includes(usage)) throw fail("SyntaxError", `This key cannot have the usage "${usage}"`);
  }
}

export const encodeBase64Url = (bytes) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });

/** A member of a JSON Web Key. */
export function decodeMember(jwk, name) {
  const text = jwk[name];
  if (typeof text !== "string" || /[^\w-]/.test(text)) throw fail("DataError", `The member "${name}" of the JWK is missing or not base64url`);
  try {
    return Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch {
    throw fail("DataError", `The member "${name}" of the JWK is not base64url`);
  }
}

const JWK_STRINGS = ["kty", "use", "alg", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "k"];

/** A JSON Web Key as Web IDL converts it. */
export function jwkOf(data) {
  if (typeof data !== "object" || data === null || viewOf(data) !== undefined) throw new TypeError("The key data is not a JSON Web Key");
  const jwk = {};
  for (const name of JWK_STRINGS) if (data[name] !== undefined) jwk[name] = String(data[name]);
  if (data.ext !== undefined) jwk.ext = Boolean(data.ext);
  if (data.key_ops !== undefined) jwk.key_ops = Array.from(data.key_ops, String);
  return jwk;
}

/** What is checked of every JSON Web Key. */
export function checkJwk(jwk, { kty, use, alg }, extractable, usages) {
  if (jwk.kty !== kty) throw fail("DataError", `The JWK is of type "${jwk.kty}", not "${kty}"`);
  if (usages.length > 0 && jwk.use !== undefined && jwk.use !== use) throw fail("DataError", `The JWK is for the use "${jwk.use}"`);
  if (jwk.key_ops !== undefined) {
    if (new Set(jwk.key_ops).size !== jwk.key_ops.length) throw fail("DataError", "The JWK repeats an operation");
    for (const usage of usages) if (!jwk.key_ops.includes(usage)) throw fail("DataError", `The JWK is not for "${usage}"`);
  }
  if (jwk.ext === false && extractable) throw fail("DataError", "The JWK is not extractable");
  if (jwk.alg !== undefined && alg !== undefined && !alg.includes(jwk.alg)) throw fail("DataError", `The JWK is for the algorithm "${jwk.alg}"`);
}

/** A secret key from bytes or a JSON Web Key; `algOf` gives the JWK's algorithm for a number of bytes. */
export function importSecret(format, data, use, algOf, extractable, usages) {
  if (format === "raw" || format === "raw-secret") return data;
  if (format !== "jwk") throw notSupported(`A secret key has no format "${format}"`);
  if (data.kty !== "oct") throw fail("DataError", "The JWK is not a symmetric key");
  const bytes = decodeMember(data, "k");
  checkJwk(data, { kty: "oct", use, alg: algOf(bytes.length) }, extractable, usages);
  return bytes;
}

export function exportSecret(format, state, alg) {
  if (format === "raw" || format === "raw-secret") return state.bytes.slice().buffer;
  if (format !== "jwk") throw notSupported(`A secret key has no format "${format}"`);
  return { kty: "oct", k: encodeBase64Url(state.bytes), alg, key_ops: [...state.usages], ext: state.extractable };
}

/** What the numbers of a JSON Web Key are called; those of a public key are the first, up to `d`. */
export const NUMBERS = { RSA: ["n", "e", "d", "p", "q", "dp", "dq", "qi"], EC: ["x", "y", "d"], OKP: ["x", "d"] };

/** A key of a pair: `{ isPrivate, bytes, modulusLength, publicExponent }`. */
export function importPair(format, data, kind, { kty, use, alg, crv }, usagesFor, extractable, usages) {
  const unusable = () => notSupported(`A key of this algorithm has no format "${format}"`);
  const read = (nativeFormat, parts) => {
    const [isPrivate, bytes, modulusLength, publicExponent] = checked(native.importKey(kind, nativeFormat, parts));
    return { isPrivate, bytes, modulusLength, publicExponent };
  };
  if (format === "raw-public") format = "raw";
  if (format === "raw" || format === "spki" || format === "pkcs8") {
    if (format === "raw" && kty === "RSA") throw unusable();
    allowOnly(usages, usagesFor(format === "pkcs8"));
    return read(format, [data]);
  }
  if (format !== "jwk") throw unusable();
  const isPrivate = data.d !== undefined;
  allowOnly(usages, usagesFor(isPrivate));
  checkJwk(data, { kty, use, alg }, extractable, usages);
  if (data.crv !== crv) throw fail("DataError", `The JWK is on the curve "${data.crv}", not "${crv}"`);
  const names = isPrivate ? NUMBERS[kty] : NUMBERS[kty].slice(0, NUMBERS[kty].indexOf("d"));
  const parts = names.map((name) => decodeMember(data, name));
  return read(kty === "OKP" && !isPrivate ? "raw" : kty.toLowerCase(), parts);
}

export function exportPair(format, state, kind, { kty, alg, crv }) {
  const isPrivate = state.type === "private";
  if (format === "raw-public") format = "raw";
  const write = (nativeFormat) => checked(native.exportKey(kind, isPrivate, state.bytes, nativeFormat));
  if (format === "jwk") {
    const jwk = { kty };
    if (alg !== undefined) jwk.alg = alg;
    if (crv !== undefined) jwk.crv = crv;
    const numbers = write("numbers");
    numbers.forEach((number, index) => { jwk[NUMBERS[kty][index]] = encodeBase64Url(number); });
    return Object.assign(jwk, { key_ops: [...state.usages], ext: state.extractable });
  }
  if ((format !== "raw" || kty === "RSA") && format !== "spki" && format !== "pkcs8") {
    throw notSupported(`A key of this algorithm has no format "${format}"`);
  }
  if (isPrivate !== (format === "pkcs8")) throw fail("InvalidAccessError", `A ${state.type} key has no format "${format}"`);
  return write(format)[0].buffer;
}
