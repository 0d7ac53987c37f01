// Digests and HMAC. What is hashed is kept until the end; the hash is computed at once.

import { Buffer } from "node:buffer";
import { coded } from "node:internal/errors";
import { hash as digestOf, hashName, hmac } from "caddis:crypto-sync";
import { bytesOf, given } from "node:internal/crypto/input";
import { secretBytes } from "node:internal/crypto/keys";

class Accumulator {
  _chunks = [];
  _finish;

  update(data, encoding = undefined) {
    if (this._chunks === undefined) throw coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    // A copy: the caller may use its bytes for something else.
    this._chunks.push(Buffer.from(bytesOf(data, "data", encoding)));
    return this;
  }
  digest(encoding = undefined) {
    if (this._chunks === undefined) throw coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    const data = this._chunks.length === 1 ? this._chunks[0] : Buffer.concat(this._chunks);
    this._chunks = undefined;
    return given(this._finish(data), encoding);
  }
  // Enough of a stream to pipe into.
  write(data, encoding = undefined) {
    this.update(data, encoding);
    return true;
  }
  end(data = undefined, encoding = undefined) {
    if (data !== undefined && typeof data !== "function") this.update(data, encoding);
    this._result = this.digest();
    return this;
  }
  read() { return this._result ?? null; }
  on() { return this; }
  once() { return this; }
  emit() { return false; }
}

function unsupported(name) {
  return coded(Error, "ERR_OSSL_EVP_UNSUPPORTED", `Digest method not supported: ${name}. There are md5, sha1, sha224, sha256, sha384, sha512`);
}

export class Hash extends Accumulator {
  constructor(name) {
    super();
    const found = hashName(name);
    if (found === undefined) throw unsupported(name);
    this._finish = (data) => digestOf(found, data);
  }
  copy() {
    const copy = Object.create(Hash.prototype);
    return Object.assign(copy, this, { _chunks: [...this._chunks] });
  }
}

export class Hmac extends Accumulator {
  constructor(name, key, encoding) {
    super();
    const found = hashName(name);
    if (found === undefined) throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
    const secret = secretBytes(key, encoding);
    this._finish = (data) => hmac(found, secret, data);
  }
}

export const createHash = (name) => new Hash(name);
export const createHmac = (name, key, options = undefined) => new Hmac(name, key, options?.encoding);
export const hash = (name, data, encoding = "hex") => createHash(name).update(data).digest(encoding);
