// Cryptography that answers at once, for the modules that stand for those of Node.js. It takes and gives Uint8Arrays, and throws DOMExceptions.

import { native } from "./native.js";
import { checked, NUMBERS } from "./crypto-keys.js";

const NAMES = {
  md5: "MD5", sha1: "SHA-1", sha224: "SHA-224", sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512",
};

/** The names of hashes as Node.js has them. */
export const hashNames = Object.keys(NAMES);

/** The name a native function knows a hash by: `RSA-SHA256` and `SHA-256` are `sha256`. Undefined when there is no such hash. */
export function hashName(name) {
  return NAMES[String(name).toLowerCase().replace(/^rsa-/, "").replaceAll("-", "")];
}

/** The hash of bytes; `name` is from `hashName`. */
export const hash = (name, data) => native.digest(name, data);

/** HMAC of bytes; `name` is from `hashName`. */
export const hmac = (name, key, data) => native.hmac(name, key, data);

export const randomBytes = (size) => native.randomBytes(size);

/** Whether two views of the same length hold the same, in a time that does not depend on what they hold. */
export function timingSafeEqual(left, right) {
  if (left.length !== right.length) throw new RangeError("Input buffers must have the same byte length");
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= left[index] ^ right[index];
  return difference === 0;
}

/** scrypt of a password at a cost of 2^`logCost`; undefined where the numbers are none it can take. */
export const scrypt = (password, salt, logCost, blockSize, parallelization, size) =>
  native.scrypt(password, salt, logCost, blockSize, parallelization, size) ?? undefined;

/** PBKDF2 or HKDF: `{ name: "PBKDF2", hash, salt, iterations }`, `{ name: "HKDF", hash, salt, info }`, with SHA-1, 256, 384 or 512. */
export const derive = (algorithm, secret, size) => checked(native.derive(algorithm, secret, size));

/**
 * Reads a key: DER of `spki` or `pkcs8`. The kind is `RSA`, `P-256`, `P-384`, `P-521`, `Ed25519` or `X25519`.
 * Gives `{ isPrivate, bytes }`; the bytes are what `sign` and `verify` take.
 */
export function importKey(kind, format, data) {
  const [isPrivate, bytes] = checked(native.importKey(kind, format, [data]));
  return { isPrivate, bytes };
}

/** Reads a key from the numbers of a JSON Web Key of a type, `rsa`, `ec` or `okp`, in the order of `numberNames`; a public `okp` key is `raw`. */
export function importNumbers(kind, type, numbers) {
  const [isPrivate, bytes] = checked(native.importKey(kind, type, numbers));
  return { isPrivate, bytes };
}

/** The numbers of a key. */
export const exportNumbers = (kind, { isPrivate, bytes }) => checked(native.exportKey(kind, isPrivate, bytes, "numbers"));

export const numberNames = NUMBERS;

/** Encodes a key as `spki`, which is also how the public key of a private one is had, or `pkcs8`. */
export const exportKey = (kind, { isPrivate, bytes }, format) => checked(native.exportKey(kind, isPrivate, bytes, format))[0];

/** `{ publicKey, privateKey }` as bytes; the numbers are for RSA. */
export function generateKeyPair(kind, modulusLength = 2048, publicExponent = 65_537) {
  const [publicKey, privateKey] = checked(native.generateKey(kind, modulusLength, publicExponent));
  return { publicKey, privateKey };
}

/**
 * Signs: `{ name: "RSASSA-PKCS1-v1_5", hash }`, `{ name: "RSA-PSS", hash, saltLength }`, `{ name: "ECDSA", namedCurve, hash }` or
 * `{ name: "Ed25519" }`. Of ECDSA the two numbers follow each other (`ieee-p1363`).
 */
export const sign = (algorithm, key, data) => checked(native.sign(algorithm, key, data));

/** The secret that a private key shares with a public one of the same kind: a curve or `X25519`. */
export const agree = (kind, privateKey, publicKey) => checked(native.agree(kind, privateKey, publicKey));

export const verify = (algorithm, key, signature, data) => checked(native.verify(algorithm, key, signature, data));

/** Encrypts with `{ name: "AES-GCM", iv, additionalData, tagLength }`, `{ name: "AES-CBC", iv }` or `{ name: "AES-CTR", counter, length }`. */
export const encrypt = (algorithm, key, data) => checked(native.encrypt(algorithm, key, data));

export const decrypt = (algorithm, key, data) => checked(native.decrypt(algorithm, key, data));
