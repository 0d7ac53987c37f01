// Cryptography as Node.js has it, on that of the engine.

import { coded, invalidType, notAvailable, outOfRange, requireInteger } from "node:internal/errors";
import { derive, hashNames, randomBytes as randomView, scrypt as deriveSlowly, timingSafeEqual as equalInTime } from "caddis:crypto-sync";
import { createCipheriv, createDecipheriv, getCiphers, Cipheriv, Decipheriv } from "node:internal/crypto/ciphers";
import { createHash, createHmac, hash, Hash, Hmac } from "node:internal/crypto/hash";
import { bytesOf, given, later, requireHash } from "node:internal/crypto/input";
import { createPrivateKey, createPublicKey, createSecretKey, diffieHellman, generateKeyPairSync, KeyObject, secretBytes } from "node:internal/crypto/keys";
import { constants, createSign, createVerify, privateDecrypt, publicEncrypt, sign, Sign, verify, Verify } from "node:internal/crypto/signatures";

export const webcrypto = globalThis.crypto;
export const { subtle } = webcrypto;
export const getRandomValues = (array) => webcrypto.getRandomValues(array);
export const randomUUID = () => webcrypto.randomUUID();

export function randomBytes(size, callback = undefined) {
  requireInteger(size, "size", 0, 2 ** 31 - 1);
  return callback === undefined ? given(randomView(size)) : later(() => given(randomView(size)), callback);
}

export function randomFillSync(target, offset = 0, size = undefined) {
  const bytes = bytesOf(target, "buf");
  const unit = target.BYTES_PER_ELEMENT ?? 1;
  const part = bytes.subarray(offset * unit, size === undefined ? undefined : (offset + size) * unit);
  part.set(randomView(part.length));
  return target;
}
export function randomFill(target, ...rest) {
  const callback = rest.pop();
  later(() => randomFillSync(target, ...rest), callback);
}

/** A whole number from `min` on, below `max`; each is as likely as any other. */
export function randomInt(min, max = undefined, callback = undefined) {
  if (max === undefined || typeof max === "function") [min, max, callback] = [0, min, max];
  requireInteger(min, "min");
  requireInteger(max, "max");
  if (max <= min) throw outOfRange("max", `greater than the value of "min" (${min})`, max);
  const range = max - min;
  if (range > 2 ** 48) throw outOfRange("max - min", "<= 281474976710655", range);
  const limit = 2 ** 48 - (2 ** 48 % range);
  const draw = () => {
    for (;;) {
      const number = given(randomView(6)).readUIntBE(0, 6);
      if (number < limit) return min + (number % range);
    }
  };
  return callback === undefined ? draw() : later(draw, callback);
}

export function timingSafeEqual(left, right) {
  for (const [name, value] of [["buf1", left], ["buf2", right]]) {
    if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) throw invalidType(name, "an instance of ArrayBuffer, Buffer, TypedArray, or DataView", value);
  }
  if (left.byteLength !== right.byteLength) throw coded(RangeError, "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", "Input buffers must have the same byte length");
  return equalInTime(bytesOf(left, "buf1"), bytesOf(right, "buf2"));
}

/** The hashes that the host derives keys with. */
function derivingHash(name) {
  const found = requireHash(name);
  if (found === "MD5" || found === "SHA-224") throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}. Keys are derived with sha1, sha256, sha384 or sha512`);
  return found;
}

export function pbkdf2Sync(password, salt, iterations, size, digest) {
  requireInteger(iterations, "iterations", 1, 2 ** 31 - 1);
  requireInteger(size, "keylen", 0, 2 ** 31 - 1);
  return given(derive({ name: "PBKDF2", hash: derivingHash(digest), salt: bytesOf(salt, "salt"), iterations }, bytesOf(password, "password"), size));
}
export const pbkdf2 = (password, salt, iterations, size, digest, callback) =>
  later(() => pbkdf2Sync(password, salt, iterations, size, digest), callback);

export function hkdfSync(digest, secret, salt, info, size) {
  const key = derive({ name: "HKDF", hash: derivingHash(digest), salt: bytesOf(salt, "salt"), info: bytesOf(info, "info") }, secretBytes(secret), size);
  return key.buffer.slice(key.byteOffset, key.byteOffset + key.byteLength);
}
export const hkdf = (digest, secret, salt, info, size, callback) => later(() => hkdfSync(digest, secret, salt, info, size), callback);

export function scryptSync(password, salt, size, options = {}) {
  requireInteger(size, "keylen", 0, 2 ** 31 - 1);
  const { cost, blockSize, parallelization, N = cost ?? 16_384, r = blockSize ?? 8, p = parallelization ?? 1, maxmem = 32 << 20 } = options;
  const invalid = (why) => coded(RangeError, "ERR_CRYPTO_INVALID_SCRYPT_PARAMS", `Invalid scrypt params: ${why}`);
  if (![N, r, p].every((number) => Number.isInteger(number) && number > 0) || N < 2 || (N & (N - 1)) !== 0) throw invalid("N is a power of 2 above 1, r and p are above 0");
  if (128 * r * (N + p) > maxmem || r * p >= 2 ** 30) throw invalid("memory limit exceeded");
  if (size === 0) return given(new Uint8Array(0));
  const key = deriveSlowly(bytesOf(password, "password"), bytesOf(salt, "salt"), Math.log2(N), r, p, size);
  if (key === undefined) throw invalid("they are too large");
  return given(key);
}
export function scrypt(password, salt, size, ...rest) {
  const callback = rest.pop();
  later(() => scryptSync(password, salt, size, ...rest), callback);
}

export function generateKeyPair(type, options, callback) {
  if (typeof callback !== "function") throw invalidType("callback", "of type function", callback);
  queueMicrotask(() => {
    let pair;
    try {
      pair = generateKeyPairSync(type, options);
    } catch (error) {
      return callback(error);
    }
    callback(null, pair.publicKey, pair.privateKey);
  });
}
generateKeyPair[Symbol.for("nodejs.util.promisify.custom")] = async (type, options) => generateKeyPairSync(type, options);

export function generateKeySync(type, { length }) {
  if (type !== "hmac" && type !== "aes") throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'type' must be a supported key type. Received '${type}'`);
  return createSecretKey(randomBytes(length >> 3));
}

const missing = (name, hint = undefined) => () => { throw notAvailable(`crypto.${name}`, hint); };
export const createDiffieHellman = missing("createDiffieHellman", "use diffieHellman with keys of generateKeyPairSync");
export const createECDH = missing("createECDH", "use diffieHellman with keys of generateKeyPairSync");
export const privateEncrypt = missing("privateEncrypt", "use sign");
export const publicDecrypt = missing("publicDecrypt", "use verify");
export const generateKey = missing("generateKey", "use generateKeySync");
export const X509Certificate = class { constructor() { missing("X509Certificate", "createPublicKey reads the key of a certificate")(); } };

export const getHashes = () => [...hashNames];
export const getCurves = () => ["prime256v1", "secp384r1", "secp521r1"];
export const getFips = () => 0;
export {
  Cipheriv, Decipheriv, Hash, Hmac, KeyObject, Sign, Verify, constants, createCipheriv, createDecipheriv, createHash, createHmac,
  createPrivateKey, createPublicKey, createSecretKey, createSign, createVerify, diffieHellman, generateKeyPairSync, getCiphers, hash,
  privateDecrypt,
  publicEncrypt, randomBytes as pseudoRandomBytes, randomBytes as rng, sign, verify,
};

export default {
  Cipheriv, Decipheriv, Hash, Hmac, KeyObject, Sign, Verify, constants, createCipheriv, createDecipheriv, createDiffieHellman, createECDH,
  createHash, createHmac, createPrivateKey, createPublicKey, createSecretKey, createSign, createVerify, diffieHellman, generateKeyPair,
  generateKey, generateKeyPairSync, generateKeySync, getCiphers, getCurves, getFips, getHashes, getRandomValues, hash, hkdf, hkdfSync, pbkdf2, pbkdf2Sync,
  X509Certificate, privateDecrypt, privateEncrypt, pseudoRandomBytes: randomBytes, publicDecrypt, publicEncrypt, randomBytes, randomFill, randomFillSync, randomInt, randomUUID, rng: randomBytes,
  scrypt, scryptSync, sign, subtle, timingSafeEqual, verify, webcrypto,
};
