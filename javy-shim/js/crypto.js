// The Web Cryptography API.

import { decodeUtf8, defineGlobals, encodeUtf8, finishClass, native, viewOf } from "./native.js";
import { CryptoKey, copy, fail, jwkOf, stateOf, usagesOf } from "./crypto-keys.js";
import { digestName, find } from "./crypto-algorithms.js";

let mayConstruct = false;
const illegal = () => new TypeError("Illegal constructor");
const QUOTA = 65_536;
const FORMATS = ["raw", "raw-public", "raw-secret", "spki", "pkcs8", "jwk"];

/** The inside of a key that may be used like this. */
function usable(key, found, usage) {
  const state = stateOf(key);
  if (state.algorithm.name !== found.name) throw fail("InvalidAccessError", `The key is for ${state.algorithm.name}, not for ${found.name}`);
  if (!state.usages.includes(usage)) throw fail("InvalidAccessError", `The key is not for ${usage}`);
  return state;
}

function formatOf(format) {
  const text = String(format);
  if (!FORMATS.includes(text)) throw new TypeError(`"${text}" is not a format of keys`);
  return text;
}

const dictionary = (algorithm) => (typeof algorithm === "object" && algorithm !== null ? algorithm : { name: algorithm });

/** The number of bits to derive; null for as many as there are. */
const lengthOf = (length) => (length === null || length === undefined ? null : Number(length) >>> 0);

function requireArguments(list, count, name) {
  if (list.length < count) throw new TypeError(`${name} needs ${count} arguments, got ${list.length}`);
}

function exported(format, key) {
  const state = stateOf(key);
  const found = find(state.algorithm, "exportKey");
  if (!state.extractable) throw fail("InvalidAccessError", "The key is not extractable");
  return found.exportKey(format, state);
}

/** Wrapping is encryption where an algorithm has nothing of its own for it. */
function findWrapper(algorithm, operation, otherwise) {
  const wrapper = find(algorithm, "exportKey");
  const name = wrapper[operation] === undefined ? otherwise : operation;
  return [find(algorithm, name), name];
}

class SubtleCrypto {
  constructor() {
    if (!mayConstruct) throw illegal();
  }
  async digest(algorithm, data) {
    requireArguments(arguments, 2, "digest");
    return native.digest(digestName(algorithm), copy(data)).buffer;
  }
  async generateKey(algorithm, extractable, usages) {
    requireArguments(arguments, 3, "generateKey");
    const list = usagesOf(usages);
    return find(algorithm, "generateKey").generateKey(dictionary(algorithm), Boolean(extractable), list);
  }
  async importKey(format, data, algorithm, extractable, usages) {
    requireArguments(arguments, 5, "importKey");
    const kind = formatOf(format);
    const list = usagesOf(usages);
    const material = kind === "jwk" ? jwkOf(data) : copy(data, "The key data");
    return find(algorithm, "importKey").importKey(kind, material, dictionary(algorithm), Boolean(extractable), list);
  }
  async exportKey(format, key) {
    requireArguments(arguments, 2, "exportKey");
    return exported(formatOf(format), key);
  }
  async sign(algorithm, key, data) {
    requireArguments(arguments, 3, "sign");
    const found = find(algorithm, "sign");
    const bytes = copy(data);
    return found.sign(dictionary(algorithm), usable(key, found, "sign"), bytes);
  }
  async verify(algorithm, key, signature, data) {
    requireArguments(arguments, 4, "verify");
    const found = find(algorithm, "verify");
    const given = copy(signature, "The signature");
    const bytes = copy(data);
    return found.verify(dictionary(algorithm), usable(key, found, "verify"), given, bytes);
  }
  async encrypt(algorithm, key, data) {
    requireArguments(arguments, 3, "encrypt");
    const found = find(algorithm, "encrypt");
    const bytes = copy(data);
    return found.encrypt(dictionary(algorithm), usable(key, found, "encrypt"), bytes);
  }
  async decrypt(algorithm, key, data) {
    requireArguments(arguments, 3, "decrypt");
    const found = find(algorithm, "decrypt");
    const bytes = copy(data);
    return found.decrypt(dictionary(algorithm), usable(key, found, "decrypt"), bytes);
  }
  async deriveBits(algorithm, key, length = null) {
    requireArguments(arguments, 2, "deriveBits");
    const found = find(algorithm, "deriveBits");
    return found.deriveBits(dictionary(algorithm), usable(key, found, "deriveBits"), lengthOf(length));
  }
  async deriveKey(algorithm, key, derivedKeyType, extractable, usages) {
    requireArguments(arguments, 5, "deriveKey");
    const list = usagesOf(usages);
    const found = find(algorithm, "deriveBits");
    const wanted = find(derivedKeyType, "keyLength");
    const state = usable(key, found, "deriveKey");
    const length = wanted.keyLength(dictionary(derivedKeyType));
    const secret = new Uint8Array(found.deriveBits(dictionary(algorithm), state, length));
    return wanted.importKey("raw", secret, dictionary(derivedKeyType), Boolean(extractable), list);
  }
  async wrapKey(format, key, wrappingKey, algorithm) {
    requireArguments(arguments, 4, "wrapKey");
    const kind = formatOf(format);
    const [found, operation] = findWrapper(algorithm, "wrapKey", "encrypt");
    const state = usable(wrappingKey, found, "wrapKey");
    const material = exported(kind, key);
    const bytes = kind === "jwk" ? encodeUtf8(JSON.stringify(material)) : new Uint8Array(material);
    return found[operation](dictionary(algorithm), state, bytes);
  }
  async unwrapKey(format, wrapped, unwrappingKey, algorithm, keyType, extractable, usages) {
    requireArguments(arguments, 7, "unwrapKey");
    const kind = formatOf(format);
    const bytes = copy(wrapped, "The wrapped key");
    const list = usagesOf(usages);
    const [found, operation] = findWrapper(algorithm, "unwrapKey", "decrypt");
    const wanted = find(keyType, "importKey");
    const state = usable(unwrappingKey, found, "unwrapKey");
    let material = new Uint8Array(found[operation](dictionary(algorithm), state, bytes));
    if (kind === "jwk") material = parseJwk(material);
    return wanted.importKey(kind, material, dictionary(keyType), Boolean(extractable), list);
  }
}
finishClass(SubtleCrypto, "digest", "generateKey", "importKey", "exportKey", "sign", "verify", "encrypt", "decrypt", "deriveBits", "deriveKey", "wrapKey", "unwrapKey");

function parseJwk(bytes) {
  let jwk;
  try {
    jwk = jwkOf(JSON.parse(decodeUtf8(bytes)));
  } catch {
    throw fail("DataError", "What was wrapped is not a JSON Web Key");
  }
  if (jwk.kty === undefined) throw fail("DataError", "The JWK has no type");
  return jwk;
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
