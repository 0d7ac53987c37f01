// The Web Cryptography API: random numbers, digests and HMAC.

import { defineGlobals, finishClass, native, viewOf } from "./native.js";

let mayConstruct = false;
const illegal = () => new TypeError("Illegal constructor");
const notSupported = (text) => new DOMException(text, "NotSupportedError");
const DIGESTS = { "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 };
const QUOTA = 65_536;

/** Makes a key, and looks inside one. */
let newKey;
let stateOf;

class CryptoKey {
  #state;
  constructor() {
    if (!mayConstruct) throw illegal();
  }
  get type() { return this.#state.type; }
  get extractable() { return this.#state.extractable; }
  get algorithm() { return this.#state.algorithm; }
  get usages() { return this.#state.usages; }

  static {
    newKey = (state) => {
      mayConstruct = true;
      const key = new CryptoKey();
      mayConstruct = false;
      key.#state = state;
      return key;
    };
    stateOf = (key) => {
      if (typeof key !== "object" || key === null || !(#state in key)) throw new TypeError("The argument is not a CryptoKey");
      return key.#state;
    };
  }
}
finishClass(CryptoKey, "type", "extractable", "algorithm", "usages");

const nameOf = (algorithm) => String(typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm).toUpperCase();

function digestName(algorithm) {
  const name = nameOf(algorithm);
  if (!Object.hasOwn(DIGESTS, name)) throw notSupported(`The digest "${name}" is not supported: use SHA-1, SHA-256, SHA-384 or SHA-512`);
  return name;
}

function requireHmac(algorithm) {
  if (nameOf(algorithm) !== "HMAC") throw notSupported(`The algorithm "${nameOf(algorithm)}" is not supported`);
}

function copy(data) {
  const view = viewOf(data);
  if (view === undefined) throw new TypeError("The data is not an ArrayBuffer or a view");
  return view.slice();
}

const base64Url = { alphabet: "base64url", omitPadding: true };

class SubtleCrypto {
  constructor() {
    if (!mayConstruct) throw illegal();
  }
  async digest(algorithm, data) {
    return native.digest(digestName(algorithm), copy(data)).buffer;
  }
  async importKey(format, data, algorithm, extractable, usages) {
    requireHmac(algorithm);
    const hash = digestName(algorithm.hash);
    const allowed = checkUsages(usages);
    let secret;
    if (format === "raw") secret = copy(data);
    else if (format === "jwk") {
      if (data?.kty !== "oct" || typeof data.k !== "string") throw new DOMException("The JWK is not a symmetric key", "DataError");
      if (data.alg !== undefined && data.alg !== `HS${hash.slice(4)}`) throw new DOMException(`The JWK is for ${data.alg}`, "DataError");
      secret = Uint8Array.fromBase64(data.k, { alphabet: "base64url" });
    } else throw notSupported(`The key format "${format}" is not supported for HMAC`);
    if (secret.length === 0) throw new DOMException("The key is empty", "DataError");
    return hmacKey(secret, hash, Boolean(extractable), allowed);
  }
  async generateKey(algorithm, extractable, usages) {
    requireHmac(algorithm);
    const hash = digestName(algorithm.hash);
    const bits = algorithm.length === undefined ? DIGESTS[hash] * 8 : Number(algorithm.length);
    if (!(bits > 0) || bits % 8 !== 0) throw new DOMException("The key length is not a whole number of bytes", "OperationError");
    return hmacKey(native.randomBytes(bits / 8), hash, Boolean(extractable), checkUsages(usages));
  }
  async exportKey(format, key) {
    const state = stateOf(key);
    if (!state.extractable) throw new DOMException("The key is not extractable", "InvalidAccessError");
    if (format === "raw") return state.secret.slice().buffer;
    if (format !== "jwk") throw notSupported(`The key format "${format}" is not supported for HMAC`);
    return { kty: "oct", k: state.secret.toBase64(base64Url), alg: `HS${state.algorithm.hash.name.slice(4)}`, key_ops: [...state.usages], ext: true };
  }
  async sign(algorithm, key, data) {
    return authenticate(algorithm, key, "sign", copy(data)).buffer;
  }
  async verify(algorithm, key, signature, data) {
    const given = copy(signature);
    const expected = authenticate(algorithm, key, "verify", copy(data));
    let difference = given.length ^ expected.length;
    for (let index = 0; index < expected.length; index += 1) difference |= expected[index] ^ (given[index] ?? 0);
    return difference === 0;
  }
  async encrypt(algorithm) { throw notSupported(`The algorithm "${nameOf(algorithm)}" is not supported`); }
  async decrypt(algorithm) { throw notSupported(`The algorithm "${nameOf(algorithm)}" is not supported`); }
  async deriveBits(algorithm) { throw notSupported(`The algorithm "${nameOf(algorithm)}" is not supported`); }
  async deriveKey(algorithm) { throw notSupported(`The algorithm "${nameOf(algorithm)}" is not supported`); }
}
finishClass(SubtleCrypto);

function checkUsages(usages) {
  const list = [...new Set(Array.from(usages, String))];
  if (list.length === 0 || list.some((usage) => usage !== "sign" && usage !== "verify")) {
    throw new DOMException("An HMAC key is for signing, for verifying, or both", "SyntaxError");
  }
  return list;
}

function hmacKey(secret, hash, extractable, usages) {
  const algorithm = { name: "HMAC", hash: { name: hash }, length: secret.length * 8 };
  return newKey({ type: "secret", extractable, algorithm, usages, secret });
}

function authenticate(algorithm, key, usage, data) {
  requireHmac(algorithm);
  const state = stateOf(key);
  if (!state.usages.includes(usage)) throw new DOMException(`The key is not for ${usage}`, "InvalidAccessError");
  return native.hmac(state.algorithm.hash.name, state.secret, data);
}

class Crypto {
  #subtle;
  constructor() {
    if (!mayConstruct) throw illegal();
    this.#subtle = new SubtleCrypto();
  }
  get subtle() { return this.#subtle; }
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array instanceof DataView || /^Float/.test(array.constructor.name)) {
      throw new DOMException("The argument is not an array of integers", "TypeMismatchError");
    }
    if (array.byteLength > QUOTA) throw new DOMException(`${array.byteLength} bytes are more than ${QUOTA}`, "QuotaExceededError");
    viewOf(array).set(native.randomBytes(array.byteLength));
    return array;
  }
  randomUUID() {
    const bytes = native.randomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toHex();
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
finishClass(Crypto, "subtle", "getRandomValues", "randomUUID");

mayConstruct = true;
const crypto = new Crypto();
mayConstruct = false;
defineGlobals({ Crypto, SubtleCrypto, CryptoKey, crypto });
