// Keys: KeyObject, PEM and DER.

import { Buffer } from "node:buffer";
import { coded, invalidType } from "node:internal/errors";
import { agree, exportKey, exportNumbers, generateKeyPair as makePair, importKey, importNumbers, numberNames } from "caddis:crypto-sync";
import { bytesOf } from "node:internal/crypto/input";

/** The algorithms a key is for, by the object identifiers (RFC 5280, RFC 8410) in its DER. */
const KINDS = [
  ["RSA", "06092a864886f70d010101"], ["P-256", "06082a8648ce3d030107"], ["P-384", "06052b81040022"], ["P-521", "06052b81040023"],
  ["Ed25519", "06032b6570"], ["X25519", "06032b656e"],
];
const TYPES = { RSA: "rsa", "P-256": "ec", "P-384": "ec", "P-521": "ec", Ed25519: "ed25519", X25519: "x25519" };
const CURVES = { "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1" };
export const CURVE_KINDS = {
  prime256v1: "P-256", "P-256": "P-256", secp256r1: "P-256", secp384r1: "P-384", "P-384": "P-384", secp521r1: "P-521", "P-521": "P-521",
};

const unsupported = (message) => coded(Error, "ERR_OSSL_UNSUPPORTED", `error:1E08010C:DECODER routines::unsupported: ${message}`);

/** One element of DER. */
function der(tag, ...contents) {
  const content = Buffer.concat(contents.map((part) => Buffer.from(part)));
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

/** Takes the first element of DER apart: its content, and what follows it. */
function element(bytes) {
  let at = 2;
  let length = bytes[1];
  if (length > 0x80) {
    const size = length & 0x7f;
    length = bytes.readUIntBE(2, size);
    at += size;
  }
  return { tag: bytes[0], content: bytes.subarray(at, at + length), rest: bytes.subarray(at + length) };
}

const ALGORITHM = Object.fromEntries(KINDS.map(([kind, identifier]) => {
  const bytes = Buffer.from(identifier, "hex");
  if (kind === "RSA") return [kind, der(0x30, bytes, [5, 0])];
  return [kind, kind.startsWith("P-") ? der(0x30, Buffer.from("06072a8648ce3d0201", "hex"), bytes) : der(0x30, bytes)];
}));

/** PKCS #8 around a key of an algorithm. */
const pkcs8 = (kind, key) => der(0x30, [2, 1, 0], ALGORITHM[kind], der(4, key));

/** SEC 1 (RFC 5915) names its curve in an optional member. */
function sec1(bytes) {
  const kind = KINDS.find(([name, identifier]) => name.startsWith("P-") && bytes.includes(Buffer.from(identifier, "hex")))?.[0];
  if (kind === undefined) throw unsupported("the curve is unknown");
  return pkcs8(kind, bytes);
}

/** The public key of a certificate (RFC 5280): the seventh member of what is signed, the first being the version. */
function certificateKey(bytes) {
  let rest = element(element(bytes).content).content;
  if (rest[0] === 0xa0) rest = element(rest).rest;
  for (let skipped = 0; skipped < 5; skipped += 1) rest = element(rest).rest;
  return rest.subarray(0, rest.length - element(rest).rest.length);
}

const PEM = {
  "PUBLIC KEY": ["spki", (bytes) => bytes],
  "PRIVATE KEY": ["pkcs8", (bytes) => bytes],
  "RSA PRIVATE KEY": ["pkcs8", (bytes) => pkcs8("RSA", bytes)],
  "RSA PUBLIC KEY": ["spki", (bytes) => der(0x30, ALGORITHM.RSA, der(3, [0], bytes))],
  "EC PRIVATE KEY": ["pkcs8", sec1],
  CERTIFICATE: ["spki", certificateKey],
};

function fromPem(text) {
  // Parameters of a curve may stand before its key.
  const block = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g)].find(([, label]) => label !== "EC PARAMETERS");
  if (block === undefined) throw unsupported("this is not a key in PEM");
  const [, label, content] = block;
  if (PEM[label] === undefined) throw unsupported(`a key in "${label}" cannot be read${label.includes("ENCRYPTED") ? ": decrypt it first" : ""}`);
  const [format, convert] = PEM[label];
  try {
    return [format, convert(Buffer.from(content, "base64"))];
  } catch {
    throw unsupported("the key is damaged");
  }
}

function fromDer(bytes, type) {
  switch (type) {
    case "pkcs1": return ["pkcs8", pkcs8("RSA", bytes)];
    case "sec1": return ["pkcs8", sec1(bytes)];
    case "spki": case "pkcs8": return [type, bytes];
    default: throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The property 'options.type' is invalid. Received ${String(type)}`);
  }
}

/** Which kind of key DER has. The identifier is near its beginning. */
function kindOf(bytes) {
  const head = bytes.subarray(0, 64);
  const found = KINDS.find(([, identifier]) => head.includes(Buffer.from(identifier, "hex")));
  if (found === undefined) throw unsupported("the algorithm of the key is unknown");
  return found[0];
}

function read(format, bytes) {
  const kind = kindOf(bytes);
  try {
    return { kind, ...importKey(kind, format, bytes) };
  } catch (error) {
    throw unsupported(error.message);
  }
}

/** What JSON Web Keys (RFC 7518, RFC 8037) call an algorithm. */
const jwkType = (kind) => (kind === "RSA" ? "RSA" : kind.startsWith("P-") ? "EC" : "OKP");
const publicNames = (kty) => numberNames[kty].slice(0, numberNames[kty].indexOf("d"));

function readJwk(jwk) {
  const kind = jwk.kty === "RSA" ? "RSA" : jwk.crv;
  if (TYPES[kind] === undefined || jwkType(kind) !== jwk.kty) throw coded(TypeError, "ERR_CRYPTO_INVALID_JWK", "Invalid JWK data");
  const isPrivate = jwk.d !== undefined;
  const names = isPrivate ? numberNames[jwk.kty] : publicNames(jwk.kty);
  if (names.some((name) => typeof jwk[name] !== "string")) throw coded(TypeError, "ERR_CRYPTO_INVALID_JWK", "Invalid JWK data");
  const type = jwk.kty === "OKP" && !isPrivate ? "raw" : jwk.kty.toLowerCase();
  return { kind, ...importNumbers(kind, type, names.map((name) => Uint8Array.from(Buffer.from(jwk[name], "base64url")))) };
}

function toJwk(key) {
  const kty = jwkType(key.kind);
  const names = key.isPrivate ? numberNames[kty] : publicNames(kty);
  const numbers = exportNumbers(key.kind, key).map((number, index) => [names[index], Buffer.from(number).toString("base64url")]);
  return { kty, ...Object.fromEntries(numbers), ...(kty === "RSA" ? {} : { crv: key.kind }) };
}

const toPem = (bytes, label) => `-----BEGIN ${label}-----\n${bytes.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;

/** What a KeyObject has: `{ kind, isPrivate, bytes }`. */
let keyOf;

export class KeyObject {
  #key;
  static {
    keyOf = (object) => object.#key;
  }

  /** Not for programs: they have `createSecretKey` and its like. */
  constructor(type, key) {
    this.#key = key;
    Object.defineProperty(this, "type", { value: type, enumerable: true });
  }
  static from(key) {
    throw coded(Error, "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", `A ${key?.constructor?.name} cannot become a KeyObject here: export it first`);
  }
  get [Symbol.toStringTag]() { return "KeyObject"; }
  get asymmetricKeyType() { return TYPES[this.#key.kind]; }
  get asymmetricKeyDetails() {
    const { kind } = this.#key;
    return CURVES[kind] !== undefined ? { namedCurve: CURVES[kind] } : kind === "RSA" ? rsaDetails(this.#key) : {};
  }
  get symmetricKeySize() { return this.type === "secret" ? this.#key.bytes.length : undefined; }
  equals(other) {
    return other instanceof KeyObject && other.type === this.type && keyOf(other).kind === this.#key.kind && Buffer.from(this.#key.bytes).equals(keyOf(other).bytes);
  }
  export({ type = this.type === "private" ? "pkcs8" : "spki", format = this.type === "secret" ? "buffer" : "pem" } = {}) {
    if (this.type === "secret") {
      return format === "jwk" ? { kty: "oct", k: Buffer.from(this.#key.bytes).toString("base64url") } : Buffer.from(this.#key.bytes);
    }
    if (format === "jwk") return toJwk(this.#key);
    if (type !== "spki" && type !== "pkcs8") throw coded(Error, "ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS", `A key cannot be exported as ${type} here: use spki or pkcs8`);
    if (format !== "pem" && format !== "der") throw coded(Error, "ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS", `A key cannot be exported as ${format} here: use pem, der or jwk`);
    const exported = exportKey(this.#key.kind, this.#key, type);
    const bytes = Buffer.from(exported.buffer, exported.byteOffset, exported.byteLength);
    return format === "der" ? bytes : toPem(bytes, type === "spki" ? "PUBLIC KEY" : "PRIVATE KEY");
  }
}

/** Bits and exponent of an RSA key, from its SubjectPublicKeyInfo. */
function rsaDetails(key) {
  const spki = exportKey("RSA", key, "spki");
  const bits = element(element(element(Buffer.from(spki)).content).rest).content.subarray(1);
  const modulus = element(element(bits).content);
  const exponent = element(modulus.rest).content;
  const digits = modulus.content.toString("hex").replace(/^0+/, "");
  return { modulusLength: BigInt(`0x${digits}`).toString(2).length, publicExponent: BigInt(`0x${exponent.toString("hex")}`) };
}

/** The parts of an argument that is a key or an object with one. */
function parts(input) {
  const isPlain = typeof input === "object" && input !== null && !ArrayBuffer.isView(input) && !(input instanceof KeyObject) && "key" in input;
  return isPlain ? input : { key: input };
}

function readInput(input) {
  const { key, format = "pem", type, encoding } = parts(input);
  if (key instanceof KeyObject) return key.type === "secret" ? undefined : keyOf(key);
  if (format === "jwk") return readJwk(key);
  const bytes = bytesOf(key, "key", encoding);
  if (format === "der") return read(...fromDer(bytes, type));
  return read(...fromPem(bytes.toString()));
}

/** `{ kind, isPrivate, bytes }` of what stands for a private key. */
export function privateKey(input) {
  const key = readInput(input);
  if (key === undefined || !key.isPrivate) throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", "Invalid key object type, expected private.");
  return key;
}

/** The same of a public key; that of a private one, if it is one. */
export function publicKey(input) {
  const key = readInput(input);
  if (key === undefined) throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", "Invalid key object type secret, expected private or public.");
  return key.isPrivate ? read("spki", Buffer.from(exportKey(key.kind, key, "spki"))) : key;
}

/** The bytes of a secret key. */
export function secretBytes(input, encoding = undefined) {
  if (!(input instanceof KeyObject)) return bytesOf(input, "key", encoding);
  if (input.type !== "secret") throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", `Invalid key object type ${input.type}, expected secret.`);
  return Buffer.from(keyOf(input).bytes);
}

export const createPrivateKey = (input) => new KeyObject("private", privateKey(input));
export const createPublicKey = (input) => new KeyObject("public", publicKey(input));
export const createSecretKey = (input, encoding = undefined) => new KeyObject("secret", { kind: "secret", bytes: Buffer.from(bytesOf(input, "key", encoding)) });

/** The secret that two keys of different pairs share. */
export function diffieHellman({ privateKey: own, publicKey: other }) {
  const [mine, theirs] = [privateKey(own), publicKey(other)];
  if (mine.kind !== theirs.kind || mine.kind === "RSA" || mine.kind === "Ed25519") {
    throw coded(Error, "ERR_CRYPTO_INCOMPATIBLE_KEY", "Incompatible key types for Diffie-Hellman");
  }
  return Buffer.from(agree(mine.kind, mine.bytes, theirs.bytes));
}

function encoded(object, encoding) {
  return encoding === undefined ? object : object.export(encoding);
}

export function generateKeyPairSync(type, options = {}) {
  const kind = { rsa: "RSA", ed25519: "Ed25519", x25519: "X25519", ec: CURVE_KINDS[options.namedCurve] }[type];
  if (kind === undefined) throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `Keys of type ${type}${options.namedCurve === undefined ? "" : ` on ${options.namedCurve}`} cannot be made here`);
  if (kind === "RSA" && !Number.isInteger(options.modulusLength)) throw invalidType("options.modulusLength", "of type number", options.modulusLength);
  const pair = makePair(kind, options.modulusLength, options.publicExponent);
  const [open, secret] = [read("spki", Buffer.from(pair.publicKey)), read("pkcs8", Buffer.from(pair.privateKey))];
  return {
    publicKey: encoded(new KeyObject("public", open), options.publicKeyEncoding),
    privateKey: encoded(new KeyObject("private", secret), options.privateKeyEncoding),
  };
}
