// AES, a piece at a time, on functions that take all at once.

import { Buffer } from "node:buffer";
import { coded } from "node:internal/errors";
import { decrypt, encrypt } from "caddis:crypto-sync";
import { bytesOf, given } from "node:internal/crypto/input";
import { secretBytes } from "node:internal/crypto/keys";

const BLOCK = 16;
const EMPTY = Buffer.alloc(0);

export const getCiphers = () => ["cbc", "ctr", "gcm"].flatMap((mode) => [128, 192, 256].map((bits) => `aes-${bits}-${mode}`));

const failure = (code, message) => coded(Error, code, message);

/** Cipher block chaining. Whole blocks go out as they come; the last one of a ciphertext waits, because it has the padding. */
class Cbc {
  #key;
  #iv;
  #held = EMPTY;
  #decrypts;
  padded = true;

  constructor(key, iv, decrypts) {
    [this.#key, this.#iv, this.#decrypts] = [key, iv, decrypts];
    if (iv.length !== BLOCK) throw coded(TypeError, "ERR_CRYPTO_INVALID_IV", "Invalid initialization vector");
  }
  update(data) {
    const all = Buffer.concat([this.#held, data]);
    const waiting = all.length % BLOCK || (this.#decrypts && this.padded && all.length > 0 ? BLOCK : 0);
    this.#held = all.subarray(all.length - waiting);
    return this.#blocks(all.subarray(0, all.length - waiting));
  }
  /** Whole blocks, of which the function that is there would take or add padding: it is added or taken here. */
  #blocks(data) {
    if (data.length === 0) return EMPTY;
    const algorithm = { name: "AES-CBC", iv: this.#iv };
    if (!this.#decrypts) {
      const blocks = given(encrypt(algorithm, this.#key, data)).subarray(0, data.length);
      this.#iv = blocks.subarray(-BLOCK);
      return blocks;
    }
    const last = data.subarray(-BLOCK);
    const padding = encrypt({ name: "AES-CBC", iv: last }, this.#key, EMPTY);
    const blocks = given(decrypt(algorithm, this.#key, Buffer.concat([data, padding])));
    this.#iv = Buffer.from(last);
    return blocks;
  }
  final() {
    const rest = this.#held;
    const algorithm = { name: "AES-CBC", iv: this.#iv };
    if (!this.padded) {
      if (rest.length > 0) throw failure("ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH", "wrong final block length");
      return EMPTY;
    }
    if (!this.#decrypts) return given(encrypt(algorithm, this.#key, rest));
    if (rest.length !== BLOCK) throw failure("ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH", "wrong final block length");
    try {
      return given(decrypt(algorithm, this.#key, rest));
    } catch {
      throw failure("ERR_OSSL_BAD_DECRYPT", "bad decrypt");
    }
  }
}

/** A mode that XORs a stream with the data, so that both ways are the same: what is new is the end of all so far. */
class Streaming {
  key;
  all = EMPTY;

  constructor(key) {
    this.key = key;
  }
  update(data) {
    const before = this.all.length;
    this.all = Buffer.concat([this.all, data]);
    return given(encrypt(this.algorithm(), this.key, this.all)).subarray(before, this.all.length);
  }
}

class Ctr extends Streaming {
  constructor(key, iv) {
    super(key);
    if (iv.length !== BLOCK) throw coded(TypeError, "ERR_CRYPTO_INVALID_IV", "Invalid initialization vector");
    this.algorithm = () => ({ name: "AES-CTR", counter: iv, length: 128 });
  }
  final() { return EMPTY; }
}

class Gcm extends Streaming {
  additionalData = EMPTY;
  tag;
  #decrypts;
  #tagLength;

  constructor(key, iv, decrypts, { authTagLength = 16 } = {}) {
    super(key);
    if (iv.length === 0) throw coded(TypeError, "ERR_CRYPTO_INVALID_IV", "Invalid initialization vector");
    if (![4, 8, 12, 13, 14, 15, 16].includes(authTagLength)) throw coded(TypeError, "ERR_CRYPTO_INVALID_AUTH_TAG", `Invalid authentication tag length: ${authTagLength}`);
    [this.#decrypts, this.#tagLength] = [decrypts, authTagLength];
    this.algorithm = () => ({ name: "AES-GCM", iv, additionalData: this.additionalData, tagLength: this.#tagLength * 8 });
  }
  /** A tag that is shorter than was agreed on is easier to forge, so it is refused, which Node.js does not do by itself. */
  expect(tag) {
    if (tag.length !== this.#tagLength) throw coded(TypeError, "ERR_CRYPTO_INVALID_AUTH_TAG", `Invalid authentication tag length: ${tag.length}`);
    this.tag = tag;
  }
  final() {
    if (!this.#decrypts) {
      this.tag = given(encrypt(this.algorithm(), this.key, this.all)).subarray(this.all.length);
      return EMPTY;
    }
    try {
      if (this.tag === undefined) throw undefined;
      decrypt(this.algorithm(), this.key, Buffer.concat([this.all, this.tag]));
      return EMPTY;
    } catch {
      throw new Error("Unsupported state or unable to authenticate data");
    }
  }
}

function modeOf(name, key, iv, decrypts, options) {
  const [, bits, mode] = /^(?:aes-?|id-aes)(128|192|256)-?(cbc|ctr|gcm)$/i.exec(name) ?? [];
  if (bits === undefined) throw coded(Error, "ERR_CRYPTO_UNKNOWN_CIPHER", `Unknown cipher: ${name}. There are aes-128, aes-192 and aes-256 with -cbc, -ctr and -gcm`);
  if (key.length * 8 !== Number(bits)) throw coded(RangeError, "ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length");
  switch (mode.toLowerCase()) {
    case "cbc": return new Cbc(key, iv, decrypts);
    case "ctr": return new Ctr(key, iv);
    default: return new Gcm(key, iv, decrypts, options);
  }
}

class Cipher {
  #mode;
  #decrypts;
  #done = false;

  constructor(name, key, iv, options, decrypts) {
    this.#decrypts = decrypts;
    this.#mode = modeOf(String(name), secretBytes(key), Buffer.from(bytesOf(iv, "iv")), decrypts, options);
  }
  update(data, inputEncoding = undefined, outputEncoding = undefined) {
    if (this.#done) throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Trying to add data in unsupported state");
    return given(this.#mode.update(bytesOf(data, "data", inputEncoding)), outputEncoding);
  }
  final(outputEncoding = undefined) {
    if (this.#done) throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Unsupported state");
    this.#done = true;
    return given(this.#mode.final(), outputEncoding);
  }
  setAutoPadding(padded = true) {
    if (this.#mode instanceof Cbc) this.#mode.padded = Boolean(padded);
    return this;
  }
  setAAD(data, options = undefined) {
    this.#mode.additionalData = Buffer.from(bytesOf(data, "buffer", options?.encoding));
    return this;
  }
  getAuthTag() {
    if (this.#decrypts || !this.#done || this.#mode.tag === undefined) throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Invalid state for operation getAuthTag");
    return Buffer.from(this.#mode.tag);
  }
  setAuthTag(tag, encoding = undefined) {
    if (!this.#decrypts || !(this.#mode instanceof Gcm)) throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Invalid state for operation setAuthTag");
    this.#mode.expect(Buffer.from(bytesOf(tag, "buffer", encoding)));
    return this;
  }
}
export class Cipheriv extends Cipher {
  constructor(name, key, iv, options = undefined) { super(name, key, iv, options, false); }
}
export class Decipheriv extends Cipher {
  constructor(name, key, iv, options = undefined) { super(name, key, iv, options, true); }
}

export const createCipheriv = (name, key, iv, options = undefined) => new Cipheriv(name, key, iv, options);
export const createDecipheriv = (name, key, iv, options = undefined) => new Decipheriv(name, key, iv, options);
