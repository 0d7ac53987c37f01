// The algorithms of the Web Cryptography API: what each operation does for each of them. All members throw; `crypto.js` makes promises of it.

import { native } from "./native.js";
import {
  allowOnly, checked, copy, exportPair, exportSecret, fail, importPair, importSecret, newKey, notSupported, stateOf,
} from "./crypto-keys.js";

const BLOCKS = { "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 };

export function digestName(algorithm) {
  const given = nameOf(algorithm);
  const name = given.toUpperCase();
  if (!Object.hasOwn(BLOCKS, name)) throw notSupported(`The digest "${given}" is not supported: use SHA-1, SHA-256, SHA-384 or SHA-512`);
  return name;
}

export function nameOf(algorithm) {
  if (typeof algorithm !== "object" || algorithm === null) return String(algorithm);
  if (algorithm.name === undefined) throw new TypeError("The algorithm has no name");
  return String(algorithm.name);
}

function required(algorithm, member) {
  const value = algorithm?.[member];
  if (value === undefined) throw new TypeError(`The algorithm has no "${member}"`);
  return value;
}

/** A whole number, as Web IDL enforces its range. */
function integer(algorithm, member, max) {
  const value = Math.trunc(Number(required(algorithm, member)));
  if (!(value >= 0 && value <= max)) throw new TypeError(`"${member}" is not a whole number from 0 to ${max}`);
  return value;
}

const octet = (algorithm, member) => integer(algorithm, member, 255);
const short = (algorithm, member) => integer(algorithm, member, 65_535);
const long = (algorithm, member) => integer(algorithm, member, 4_294_967_295);
const source = (algorithm, member) => copy(required(algorithm, member), `"${member}"`);
const hashOf = (algorithm) => digestName(required(algorithm, "hash"));

function requireType(state, type) {
  if (state.type !== type) throw fail("InvalidAccessError", `This needs a ${type} key, not a ${state.type} one`);
}

function requireUsages(usages) {
  if (usages.length === 0) throw fail("SyntaxError", "A secret or private key needs a usage");
}

/** The two keys of a pair; each gets those of the usages that fit it. */
function pair(algorithm, kind, numbers, usagesFor, extractable, usages) {
  allowOnly(usages, [...usagesFor(false), ...usagesFor(true)]);
  const privateUsages = usages.filter((usage) => usagesFor(true).includes(usage));
  requireUsages(privateUsages);
  const [publicBytes, privateBytes] = checked(native.generateKey(kind, ...numbers));
  const publicUsages = usages.filter((usage) => usagesFor(false).includes(usage));
  return {
    publicKey: newKey("public", true, algorithm, publicUsages, publicBytes),
    privateKey: newKey("private", extractable, algorithm, privateUsages, privateBytes),
  };
}

function imported({ isPrivate, bytes }, algorithm, extractable, usages) {
  if (isPrivate) requireUsages(usages);
  return newKey(isPrivate ? "private" : "public", extractable, algorithm, usages, bytes);
}

const signing = (isPrivate) => (isPrivate ? ["sign"] : ["verify"]);
const wrapping = (isPrivate) => (isPrivate ? ["decrypt", "unwrapKey"] : ["encrypt", "wrapKey"]);
const agreeing = (isPrivate) => (isPrivate ? ["deriveKey", "deriveBits"] : []);

function rsa(name, usagesFor, jwkAlgorithm, operations) {
  const use = name === "RSA-OAEP" ? "enc" : "sig";
  return {
    name,
    ...operations,
    generateKey(algorithm, extractable, usages) {
      const modulusLength = long(algorithm, "modulusLength");
      const publicExponent = required(algorithm, "publicExponent");
      if (!(publicExponent instanceof Uint8Array)) throw new TypeError('"publicExponent" is not a Uint8Array');
      const hash = { name: hashOf(algorithm) };
      const exponent = publicExponent.reduce((value, byte) => Math.min(value * 256 + byte, 4_294_967_295), 0);
      allowOnly(usages, [...usagesFor(false), ...usagesFor(true)]);
      if (exponent !== 3 && exponent !== 65_537) throw fail("OperationError", "The public exponent of a new RSA key is 3 or 65537");
      const keyAlgorithm = { name, modulusLength, publicExponent: publicExponent.slice(), hash };
      return pair(keyAlgorithm, "RSA", [modulusLength, exponent], usagesFor, extractable, usages);
    },
    importKey(format, data, algorithm, extractable, usages) {
      const hash = hashOf(algorithm);
      const key = importPair(format, data, "RSA", { kty: "RSA", use, alg: [jwkAlgorithm(hash)] }, usagesFor, extractable, usages);
      const { modulusLength, publicExponent } = key;
      return imported(key, { name, modulusLength, publicExponent, hash: { name: hash } }, extractable, usages);
    },
    exportKey: (format, state) => exportPair(format, state, "RSA", { kty: "RSA", alg: jwkAlgorithm(state.algorithm.hash.name) }),
  };
}

function signature(parameters) {
  return {
    sign(algorithm, state, data) {
      const given = parameters(algorithm, state);
      requireType(state, "private");
      return checked(native.sign(given, state.bytes, data)).buffer;
    },
    verify(algorithm, state, signatureBytes, data) {
      const given = parameters(algorithm, state);
      requireType(state, "public");
      return checked(native.verify(given, state.bytes, signatureBytes, data));
    },
  };
}

function cipher(name, parameters, extra = undefined) {
  return {
    encrypt(algorithm, state, data) {
      const given = { name, ...parameters(algorithm, state) };
      extra?.(state, "public");
      return checked(native.encrypt(given, state.bytes, data)).buffer;
    },
    decrypt(algorithm, state, data) {
      const given = { name, ...parameters(algorithm, state) };
      extra?.(state, "private");
      return checked(native.decrypt(given, state.bytes, data)).buffer;
    },
  };
}

const shaNumber = (hash) => (hash === "SHA-1" ? "1" : hash.slice(4));

const RSASSA = rsa("RSASSA-PKCS1-v1_5", signing, (hash) => `RS${shaNumber(hash)}`,
  signature((_, { algorithm }) => ({ name: "RSASSA-PKCS1-v1_5", hash: algorithm.hash.name })));

const RSA_PSS = rsa("RSA-PSS", signing, (hash) => `PS${shaNumber(hash)}`,
  signature((given, { algorithm }) => ({ name: "RSA-PSS", hash: algorithm.hash.name, saltLength: long(given, "saltLength") })));

const RSA_OAEP = rsa("RSA-OAEP", wrapping, (hash) => (hash === "SHA-1" ? "RSA-OAEP" : `RSA-OAEP-${hash.slice(4)}`),
  cipher("RSA-OAEP", ({ label }, { algorithm }) => ({
    hash: algorithm.hash.name,
    label: label === undefined ? new Uint8Array(0) : copy(label, '"label"'),
  }), requireType));

const CURVES = ["P-256", "P-384", "P-521"];

function curveOf(algorithm) {
  const curve = String(required(algorithm, "namedCurve"));
  if (!CURVES.includes(curve)) throw notSupported(`The curve "${curve}" is not supported: use P-256, P-384 or P-521`);
  return curve;
}

function ec(name, usagesFor, operations) {
  const jwkAlgorithm = (curve) => (name === "ECDSA" ? [`ES${curve === "P-521" ? "512" : curve.slice(2)}`] : undefined);
  return {
    name,
    ...operations,
    generateKey(algorithm, extractable, usages) {
      const namedCurve = curveOf(algorithm);
      return pair({ name, namedCurve }, namedCurve, [0, 0], usagesFor, extractable, usages);
    },
    importKey(format, data, algorithm, extractable, usages) {
      const namedCurve = curveOf(algorithm);
      const jwk = { kty: "EC", use: name === "ECDSA" ? "sig" : "enc", alg: jwkAlgorithm(namedCurve), crv: namedCurve };
      const key = importPair(format, data, namedCurve, jwk, usagesFor, extractable, usages);
      return imported(key, { name, namedCurve }, extractable, usages);
    },
    exportKey(format, state) {
      const { namedCurve } = state.algorithm;
      return exportPair(format, state, namedCurve, { kty: "EC", crv: namedCurve });
    },
  };
}

function okp(name, usagesFor, operations) {
  const jwk = { kty: "OKP", use: name === "Ed25519" ? "sig" : "enc", alg: name === "Ed25519" ? ["Ed25519", "EdDSA"] : undefined, crv: name };
  return {
    name,
    ...operations,
    generateKey: (_, extractable, usages) => pair({ name }, name, [0, 0], usagesFor, extractable, usages),
    importKey(format, data, _, extractable, usages) {
      return imported(importPair(format, data, name, jwk, usagesFor, extractable, usages), { name }, extractable, usages);
    },
    exportKey: (format, state) => exportPair(format, state, name, { kty: "OKP", crv: name, alg: name === "Ed25519" ? "Ed25519" : undefined }),
  };
}

const agreement = {
  deriveBits(algorithm, state, length) {
    const other = stateOf(required(algorithm, "public"));
    requireType(state, "private");
    if (other.type !== "public") throw fail("InvalidAccessError", "The other key is not public");
    const { name, namedCurve } = state.algorithm;
    if (other.algorithm.name !== name || other.algorithm.namedCurve !== namedCurve) {
      throw fail("InvalidAccessError", "The two keys are not for the same algorithm and curve");
    }
    const secret = checked(native.agree(namedCurve ?? name, state.bytes, other.bytes));
    if (length === null) return secret.buffer;
    if (length > secret.length * 8) throw fail("OperationError", `The secret has ${secret.length * 8} bits; ${length} were asked for`);
    const bytes = secret.slice(0, Math.ceil(length / 8));
    if (length % 8 !== 0) bytes[bytes.length - 1] &= 0xff << (8 - (length % 8));
    return bytes.buffer;
  },
};

const AES_USAGES = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];

function aes(name, usages, operations) {
  const jwkAlgorithm = (bytes) => `A${bytes * 8}${name.slice(4)}`;
  return {
    name,
    ...operations,
    generateKey(algorithm, extractable, given) {
      const length = short(algorithm, "length");
      allowOnly(given, usages);
      if (length !== 128 && length !== 192 && length !== 256) throw fail("OperationError", "An AES key has 128, 192 or 256 bits");
      requireUsages(given);
      return newKey("secret", extractable, { name, length }, given, native.randomBytes(length / 8));
    },
    importKey(format, data, _, extractable, given) {
      if (name === "AES-KW" || format !== "raw-secret") allowOnly(given, usages);
      const bytes = importSecret(format, data, "enc", (length) => [jwkAlgorithm(length)], extractable, given);
      allowOnly(given, usages);
      if (![16, 24, 32].includes(bytes.length)) throw fail("DataError", "An AES key has 128, 192 or 256 bits");
      requireUsages(given);
      return newKey("secret", extractable, { name, length: bytes.length * 8 }, given, bytes);
    },
    exportKey: (format, state) => exportSecret(format, state, jwkAlgorithm(state.bytes.length)),
    keyLength(algorithm) {
      const length = short(algorithm, "length");
      if (length !== 128 && length !== 192 && length !== 256) throw fail("OperationError", "An AES key has 128, 192 or 256 bits");
      return length;
    },
  };
}

function vector(algorithm, member) {
  const bytes = source(algorithm, member);
  if (bytes.length !== 16) throw fail("OperationError", `"${member}" does not have 16 bytes`);
  return bytes;
}

const AES_GCM = aes("AES-GCM", AES_USAGES, cipher("AES-GCM", (algorithm) => {
  const iv = source(algorithm, "iv");
  const additionalData = algorithm.additionalData === undefined ? new Uint8Array(0) : copy(algorithm.additionalData, '"additionalData"');
  const tagLength = algorithm.tagLength === undefined ? 128 : octet(algorithm, "tagLength");
  return { iv, additionalData, tagLength };
}));

const AES_CBC = aes("AES-CBC", AES_USAGES, cipher("AES-CBC", (algorithm) => ({ iv: vector(algorithm, "iv") })));

const AES_CTR = aes("AES-CTR", AES_USAGES, cipher("AES-CTR", (algorithm) => {
  const counter = vector(algorithm, "counter");
  const length = octet(algorithm, "length");
  if (length === 0 || length > 128) throw fail("OperationError", "The counter has 1 to 128 bits");
  return { counter, length };
}));

const { encrypt: wrapKey, decrypt: unwrapKey } = cipher("AES-KW", () => ({}));
const AES_KW = aes("AES-KW", ["wrapKey", "unwrapKey"], { wrapKey, unwrapKey });

function hmacLength(algorithm, hash) {
  if (algorithm.length === undefined) return BLOCKS[hash] * 8;
  const length = long(algorithm, "length");
  if (length === 0) throw fail("OperationError", "An HMAC key needs at least one bit");
  return length;
}

function hmacKey(secret, hash, length, extractable, usages) {
  if (length % 8 !== 0) secret[secret.length - 1] &= 0xff << (8 - (length % 8));
  return newKey("secret", extractable, { name: "HMAC", hash: { name: hash }, length }, usages, secret);
}

const HMAC = {
  name: "HMAC",
  generateKey(algorithm, extractable, usages) {
    const hash = hashOf(algorithm);
    allowOnly(usages, ["sign", "verify"]);
    const length = hmacLength(algorithm, hash);
    if (length > 524_288) throw fail("OperationError", "An HMAC key has at most 524288 bits");
    requireUsages(usages);
    return hmacKey(native.randomBytes(Math.ceil(length / 8)), hash, length, extractable, usages);
  },
  importKey(format, data, algorithm, extractable, usages) {
    const hash = hashOf(algorithm);
    allowOnly(usages, ["sign", "verify"]);
    const secret = importSecret(format, data, "sig", () => [`HS${shaNumber(hash)}`], extractable, usages);
    if (secret.length === 0) throw fail("DataError", "The key is empty");
    let length = secret.length * 8;
    if (algorithm.length !== undefined) {
      const given = long(algorithm, "length");
      if (given > length || given <= length - 8) throw fail("DataError", `The key has ${length} bits, not ${given}`);
      length = given;
    }
    requireUsages(usages);
    return hmacKey(secret, hash, length, extractable, usages);
  },
  exportKey: (format, state) => exportSecret(format, state, `HS${shaNumber(state.algorithm.hash.name)}`),
  sign: (_, state, data) => native.hmac(state.algorithm.hash.name, state.bytes, data).buffer,
  verify(_, state, given, data) {
    const expected = native.hmac(state.algorithm.hash.name, state.bytes, data);
    let difference = given.length ^ expected.length;
    for (let index = 0; index < expected.length; index += 1) difference |= expected[index] ^ (given[index] ?? 0);
    return difference === 0;
  },
  keyLength: (algorithm) => hmacLength(algorithm, hashOf(algorithm)),
};

function kdf(name, parameters) {
  return {
    name,
    importKey(format, data, _, extractable, usages) {
      if (format !== "raw" && format !== "raw-secret") throw notSupported(`A key of ${name} has no format "${format}"`);
      allowOnly(usages, ["deriveKey", "deriveBits"]);
      if (extractable) throw fail("SyntaxError", `A key of ${name} cannot be extractable`);
      requireUsages(usages);
      return newKey("secret", false, { name }, usages, data);
    },
    deriveBits(algorithm, state, length) {
      const given = { name, ...parameters(algorithm) };
      if (length === null || length % 8 !== 0) throw fail("OperationError", "The length is not a number of whole bytes");
      return checked(native.derive(given, state.bytes, length / 8)).buffer;
    },
    keyLength: () => null,
  };
}

const HKDF = kdf("HKDF", (algorithm) => ({
  hash: hashOf(algorithm), salt: source(algorithm, "salt"), info: source(algorithm, "info"),
}));

const PBKDF2 = kdf("PBKDF2", (algorithm) => {
  const given = { hash: hashOf(algorithm), salt: source(algorithm, "salt"), iterations: long(algorithm, "iterations") };
  if (given.iterations === 0) throw fail("OperationError", "PBKDF2 needs at least one iteration");
  return given;
});

const ECDSA = ec("ECDSA", signing,
  signature((given, { algorithm }) => ({ name: "ECDSA", namedCurve: algorithm.namedCurve, hash: hashOf(given) })));

const ALL = [
  RSASSA, RSA_PSS, RSA_OAEP, ECDSA, ec("ECDH", agreeing, agreement), okp("Ed25519", signing, signature(() => ({ name: "Ed25519" }))),
  okp("X25519", agreeing, agreement), AES_GCM, AES_CBC, AES_CTR, AES_KW, HMAC, HKDF, PBKDF2,
];
const BY_NAME = new Map(ALL.map((algorithm) => [algorithm.name.toUpperCase(), algorithm]));

/** The algorithm that an argument names, if it has the operation. */
export function find(algorithm, operation) {
  const name = nameOf(algorithm);
  const found = BY_NAME.get(name.toUpperCase());
  if (found?.[operation] === undefined) throw notSupported(`"${name}" is not an algorithm that has ${operation}`);
  return found;
}

