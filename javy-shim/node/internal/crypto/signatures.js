// Signatures, and encryption with RSA.

import { Buffer } from "node:buffer";
import { coded, notAvailable } from "node:internal/errors";
import { decrypt, encrypt, sign as signWith, verify as verifyWith } from "caddis:crypto-sync";
import { bytesOf, given, later, requireHash } from "node:internal/crypto/input";
import { privateKey, publicKey } from "node:internal/crypto/keys";

export const constants = {
  RSA_PKCS1_PADDING: 1, RSA_NO_PADDING: 3, RSA_PKCS1_OAEP_PADDING: 4, RSA_PKCS1_PSS_PADDING: 6,
  RSA_PSS_SALTLEN_DIGEST: -1, RSA_PSS_SALTLEN_MAX_SIGN: -2, RSA_PSS_SALTLEN_AUTO: -2,
};

const HASH_BYTES = { "SHA-1": 20, "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 };
const ORDER_BYTES = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** How `caddis:crypto-sync` names what a key and the options ask for. */
function algorithm(hash, { kind }, { padding, saltLength } = {}) {
  if (kind === "Ed25519") return { name: "Ed25519" };
  if (kind === "X25519") throw coded(Error, "ERR_OSSL_EVP_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE", "A key of X25519 cannot sign");
  const name = requireHash(hash ?? "sha256");
  if (HASH_BYTES[name] === undefined) throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${hash}. Signatures are made with sha1, sha256, sha384 or sha512`);
  if (kind !== "RSA") return { name: "ECDSA", namedCurve: kind, hash: name };
  if (padding === constants.RSA_PKCS1_PSS_PADDING) {
    // OpenSSL's default is the longest salt for signing; that of the hash is what all protocols use.
    return { name: "RSA-PSS", hash: name, saltLength: saltLength === undefined || saltLength < 0 ? HASH_BYTES[name] : saltLength };
  }
  return { name: "RSASSA-PKCS1-v1_5", hash: name };
}

/** The two numbers of a signature as DER (RFC 3279, section 2.2.3). */
function toDer(raw) {
  const numbers = [raw.subarray(0, raw.length / 2), raw.subarray(raw.length / 2)].map((number) => {
    let start = 0;
    while (start < number.length - 1 && number[start] === 0) start += 1;
    const digits = number.subarray(start);
    const padded = digits[0] >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : Buffer.from(digits);
    return Buffer.concat([Buffer.from([2, padded.length]), padded]);
  });
  const content = Buffer.concat(numbers);
  return Buffer.concat([Buffer.from(content.length < 0x80 ? [0x30, content.length] : [0x30, 0x81, content.length]), content]);
}

/** The way back; undefined when it is no such thing. */
function fromDer(bytes, size) {
  const start = bytes[1] === 0x81 ? 3 : 2;
  if (bytes[0] !== 0x30 || bytes.length < start + 4) return undefined;
  const raw = Buffer.alloc(size * 2);
  let at = start;
  for (const end of [size, size * 2]) {
    if (bytes[at] !== 2) return undefined;
    const digits = bytes.subarray(at + 2, at + 2 + bytes[at + 1]);
    const number = digits.subarray(Math.max(digits.findIndex((byte) => byte !== 0), 0));
    if (number.length > size) return undefined;
    raw.set(number, end - number.length);
    at += 2 + digits.length;
  }
  return raw;
}

const isNumbers = (input) => input?.dsaEncoding === "ieee-p1363";

export function sign(hash, data, input, callback = undefined) {
  if (callback !== undefined) return later(() => sign(hash, data, input), callback);
  const key = privateKey(input);
  const options = algorithm(hash, key, input);
  const signature = given(signWith(options, key.bytes, bytesOf(data, "data")));
  return options.name === "ECDSA" && !isNumbers(input) ? toDer(signature) : signature;
}

export function verify(hash, data, input, signature, callback = undefined) {
  if (callback !== undefined) return later(() => verify(hash, data, input, signature), callback);
  const key = publicKey(input);
  const options = algorithm(hash, key, input);
  const given = bytesOf(signature, "signature");
  const raw = options.name === "ECDSA" && !isNumbers(input) ? fromDer(given, ORDER_BYTES[key.kind]) : given;
  return raw !== undefined && verifyWith(options, key.bytes, raw, bytesOf(data, "data"));
}

class Collector {
  _chunks = [];
  _hash;

  constructor(hash) {
    this._hash = hash;
    requireHash(hash);
  }
  update(data, encoding = undefined) {
    this._chunks.push(Buffer.from(bytesOf(data, "data", encoding)));
    return this;
  }
  write(data, encoding = undefined) {
    this.update(data, encoding);
    return true;
  }
  end(data = undefined, encoding = undefined) {
    if (data !== undefined) this.update(data, encoding);
    return this;
  }
}

export class Sign extends Collector {
  sign(input, encoding = undefined) {
    return given(sign(this._hash, Buffer.concat(this._chunks), input), encoding);
  }
}
export class Verify extends Collector {
  verify(input, signature, encoding = undefined) {
    return verify(this._hash, Buffer.concat(this._chunks), input, bytesOf(signature, "signature", encoding));
  }
}
export const createSign = (hash) => new Sign(hash);
export const createVerify = (hash) => new Verify(hash);

function oaep(input) {
  const padding = input?.padding ?? constants.RSA_PKCS1_OAEP_PADDING;
  if (padding !== constants.RSA_PKCS1_OAEP_PADDING) throw notAvailable("RSA encryption with PKCS #1 v1.5 padding", "use RSA_PKCS1_OAEP_PADDING");
  return { name: "RSA-OAEP", hash: requireHash(input?.oaepHash ?? "sha1"), label: input?.oaepLabel === undefined ? new Uint8Array(0) : bytesOf(input.oaepLabel, "oaepLabel") };
}
export const publicEncrypt = (input, data) => given(encrypt(oaep(input), publicKey(input).bytes, bytesOf(data, "buffer")));
export const privateDecrypt = (input, data) => given(decrypt(oaep(input), privateKey(input).bytes, bytesOf(data, "buffer")));
