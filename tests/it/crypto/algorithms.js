// Known answers for every algorithm of the Web Cryptography API, and the errors it names. The default export returns what is wrong.
// `VECTORS` stands for vectors.json, which another implementation made.

const { subtle } = crypto;
const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const hex = (data) => Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const text = (value) => new TextEncoder().encode(value);
const message = text("message");
const wrong = [];

function is(actual, expected, what) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) wrong.push(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
}

async function throws(name, action) {
  try {
    await action();
    wrong.push(`${action} did not throw`);
  } catch (error) {
    is(error.name, name, `${action}: ${error.message}`);
  }
}

async function digests() {
  is(hex(await subtle.digest("sha-1", text("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1");
  is(hex(await subtle.digest({ name: "SHA-256" }, text("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256");
  await throws("NotSupportedError", () => subtle.digest("MD5", message));
  await throws("TypeError", () => subtle.digest("SHA-1", "text"));
}

async function hmac() {
  // RFC 4231, test case 2.
  const key = await subtle.importKey("raw", text("Jefe"), { name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
  const code = await subtle.sign("HMAC", key, text("what do ya want for nothing?"));
  is(hex(code), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "HMAC");
  is(await subtle.verify("HMAC", key, code, text("what do ya want for nothing?")), true, "HMAC verifies");
  is(await subtle.verify("HMAC", key, code, message), false, "HMAC of another message");
  is((await subtle.exportKey("jwk", key)).alg, "HS256", "HMAC as JWK");
}

async function rsa() {
  const [spki, pkcs8] = [bytes(VECTORS.rsaPublic), bytes(VECTORS.rsaPrivate)];
  const pkcs1 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const privateKey = await subtle.importKey("pkcs8", pkcs8, pkcs1, true, ["sign"]);
  const publicKey = await subtle.importKey("spki", spki, pkcs1, true, ["verify"]);
  is(hex(await subtle.sign(pkcs1, privateKey, message)), hex(bytes(VECTORS.rsaSignature)), "RS256");
  is(await subtle.verify(pkcs1, publicKey, bytes(VECTORS.rsaSignature), message), true, "RS256 verifies");
  is(await subtle.verify(pkcs1, publicKey, bytes(VECTORS.rsaSignature), text("other")), false, "RS256 of another message");
  is([publicKey.algorithm.modulusLength, hex(publicKey.algorithm.publicExponent)], [2048, "010001"], "RSA details");
  const jwk = await subtle.exportKey("jwk", privateKey);
  is([jwk.kty, jwk.alg, jwk.e, jwk.ext, jwk.key_ops], ["RSA", "RS256", "AQAB", true, ["sign"]], "RSA as JWK");
  const again = await subtle.importKey("jwk", jwk, pkcs1, true, ["sign"]);
  is(hex(await subtle.exportKey("pkcs8", again)), hex(pkcs8), "RSA through JWK");
  const pss = { name: "RSA-PSS", hash: "SHA-384", saltLength: 17 };
  const pssPublic = await subtle.importKey("spki", spki, pss, true, ["verify"]);
  is(await subtle.verify(pss, pssPublic, bytes(VECTORS.pssSignature), message), true, "PS384 verifies");
  const pssPrivate = await subtle.importKey("pkcs8", pkcs8, pss, false, ["sign"]);
  is(await subtle.verify(pss, pssPublic, await subtle.sign(pss, pssPrivate, message), message), true, "PS384 both ways");
  await throws("OperationError", () => subtle.sign({ ...pss, saltLength: 1000 }, pssPrivate, message));
  const oaep = { name: "RSA-OAEP", hash: "SHA-384", label: text("label") };
  const oaepPrivate = await subtle.importKey("pkcs8", pkcs8, oaep, false, ["decrypt"]);
  is(hex(await subtle.decrypt(oaep, oaepPrivate, bytes(VECTORS.oaep))), hex(text("secret")), "RSA-OAEP");
  await throws("OperationError", () => subtle.decrypt({ name: "RSA-OAEP" }, oaepPrivate, bytes(VECTORS.oaep)));
  await throws("DataError", () => subtle.importKey("spki", spki.slice(1), pkcs1, true, ["verify"]));
  await throws("DataError", () => subtle.importKey("jwk", { ...jwk, d: jwk.p }, pkcs1, true, ["sign"]));
  const kept = await subtle.importKey("spki", spki, pkcs1, false, ["verify"]);
  await throws("InvalidAccessError", () => subtle.exportKey("spki", kept));
  await throws("SyntaxError", () => subtle.importKey("pkcs8", pkcs8, pkcs1, true, ["verify"]));
  await throws("NotSupportedError", () => subtle.importKey("raw", spki, pkcs1, true, ["verify"]));
  await throws("OperationError", () => subtle.generateKey({ ...pkcs1, modulusLength: 2048, publicExponent: new Uint8Array([1]) }, true, []));
  await throws("OperationError", () => subtle.generateKey({ ...pkcs1, modulusLength: 512, publicExponent: new Uint8Array([1, 0, 1]) }, true, ["sign"]));
}

async function curves() {
  for (const namedCurve of ["P-256", "P-384", "P-521"]) {
    const { pkcs8, spki, hash, signature, other, shared } = VECTORS[namedCurve];
    const ecdsa = { name: "ECDSA", namedCurve, hash };
    const privateKey = await subtle.importKey("pkcs8", bytes(pkcs8), ecdsa, true, ["sign"]);
    const publicKey = await subtle.importKey("spki", bytes(spki), ecdsa, true, ["verify"]);
    is(await subtle.verify(ecdsa, publicKey, bytes(signature), message), true, `ECDSA ${namedCurve}`);
    is(await subtle.verify(ecdsa, publicKey, bytes(signature), text("other")), false, `ECDSA ${namedCurve} of another message`);
    is(await subtle.verify(ecdsa, publicKey, await subtle.sign(ecdsa, privateKey, message), message), true, `ECDSA ${namedCurve} both ways`);
    is(hex(await subtle.exportKey("pkcs8", privateKey)), hex(bytes(pkcs8)), `${namedCurve} as PKCS #8`);
    const jwk = await subtle.exportKey("jwk", privateKey);
    const again = await subtle.importKey("jwk", jwk, ecdsa, true, ["sign"]);
    is(hex(await subtle.exportKey("pkcs8", again)), hex(bytes(pkcs8)), `${namedCurve} through JWK`);
    await throws("DataError", () => subtle.importKey("jwk", { ...jwk, x: jwk.y }, ecdsa, true, ["sign"]));
    const ecdh = { name: "ECDH", namedCurve };
    const mine = await subtle.importKey("pkcs8", bytes(pkcs8), ecdh, false, ["deriveBits"]);
    const theirs = await subtle.importKey("raw", bytes(other), ecdh, true, []);
    is(hex(await subtle.deriveBits({ name: "ECDH", public: theirs }, mine, 256)), hex(bytes(shared)), `ECDH ${namedCurve}`);
    await throws("OperationError", () => subtle.deriveBits({ name: "ECDH", public: theirs }, mine, 1024));
  }
  await throws("NotSupportedError", () => subtle.generateKey({ name: "ECDSA", namedCurve: "P-192" }, true, ["sign"]));
}

async function edwards() {
  // RFC 8037, appendix A.
  const jwk = { kty: "OKP", crv: "Ed25519", d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
  const privateKey = await subtle.importKey("jwk", jwk, "Ed25519", true, ["sign"]);
  const { d: _, ...publicJwk } = jwk;
  const publicKey = await subtle.importKey("jwk", publicJwk, "Ed25519", true, ["verify"]);
  const signing = text("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
  const signature = await subtle.sign("Ed25519", privateKey, signing);
  is(hex(signature), "860c98d2297f3060a33f42739672d61b53cf3adefed3d3c672f320dc021b411e9d59b8628dc351e248b88b29468e0e41855b0fb7d83bb15be902bfccb8cd0a02", "EdDSA");
  is(await subtle.verify("Ed25519", publicKey, signature, signing), true, "EdDSA verifies");
  is((await subtle.exportKey("pkcs8", privateKey)).byteLength, 48, "Ed25519 as PKCS #8");
  // RFC 7748, section 6.1.
  const alice = { kty: "OKP", crv: "X25519", d: "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo", x: "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo" };
  const bob = unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const mine = await subtle.importKey("jwk", alice, "X25519", false, ["deriveBits"]);
  const theirs = await subtle.importKey("raw", bob, "X25519", true, []);
  const secret = await subtle.deriveBits({ name: "X25519", public: theirs }, mine, null);
  is(hex(secret), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", "X25519");
  const zero = await subtle.importKey("raw", new Uint8Array(32), "X25519", true, []);
  await throws("OperationError", () => subtle.deriveBits({ name: "X25519", public: zero }, mine, 256));
}

async function aes() {
  const raw = new Uint8Array(32).map((_, index) => index);
  const plain = text("attack at dawn");
  const gcm = { name: "AES-GCM", iv: new Uint8Array(17).fill(7), additionalData: text("beside"), tagLength: 96 };
  const gcmKey = await subtle.importKey("raw", raw, "AES-GCM", true, ["encrypt", "decrypt"]);
  is(hex(await subtle.encrypt(gcm, gcmKey, plain)), hex(bytes(VECTORS.gcm)), "AES-GCM");
  is(hex(await subtle.decrypt(gcm, gcmKey, bytes(VECTORS.gcm))), hex(plain), "AES-GCM back");
  await throws("OperationError", () => subtle.decrypt({ ...gcm, additionalData: text("other") }, gcmKey, bytes(VECTORS.gcm)));
  await throws("OperationError", () => subtle.encrypt({ ...gcm, tagLength: 64 + 1 }, gcmKey, plain));
  // The first test of the GCM specification: nothing at all.
  const zero = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["encrypt"]);
  is(hex(await subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, zero, new Uint8Array(0))), "58e2fccefa7e3061367f1d57a4e7455a", "AES-GCM of nothing");
  const cbc = { name: "AES-CBC", iv: new Uint8Array(16).fill(7) };
  const cbcKey = await subtle.importKey("raw", raw, "AES-CBC", true, ["encrypt", "decrypt"]);
  is(hex(await subtle.encrypt(cbc, cbcKey, plain)), hex(bytes(VECTORS.cbc)), "AES-CBC");
  is(hex(await subtle.decrypt(cbc, cbcKey, bytes(VECTORS.cbc))), hex(plain), "AES-CBC back");
  await throws("OperationError", () => subtle.decrypt(cbc, cbcKey, new Uint8Array(15)));
  const ctr = { name: "AES-CTR", counter: new Uint8Array(16).fill(255), length: 5 };
  const ctrKey = await subtle.importKey("raw", raw, "AES-CTR", true, ["encrypt", "decrypt"]);
  is(hex(await subtle.encrypt(ctr, ctrKey, new Uint8Array(40))), hex(bytes(VECTORS.ctr)), "AES-CTR past the end of its counter");
  await throws("OperationError", () => subtle.encrypt(ctr, ctrKey, new Uint8Array(33 * 16)));
  // RFC 3394, section 4.1.
  const kek = await subtle.importKey("raw", unhex("000102030405060708090a0b0c0d0e0f"), "AES-KW", true, ["wrapKey", "unwrapKey"]);
  const inner = await subtle.importKey("raw", unhex("00112233445566778899aabbccddeeff"), "AES-CBC", true, ["encrypt"]);
  const wrapped = await subtle.wrapKey("raw", inner, kek, "AES-KW");
  is(hex(wrapped), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5", "AES-KW");
  const unwrapped = await subtle.unwrapKey("raw", wrapped, kek, "AES-KW", "AES-CBC", true, ["encrypt"]);
  is(hex(await subtle.exportKey("raw", unwrapped)), "00112233445566778899aabbccddeeff", "AES-KW back");
  await throws("OperationError", () => subtle.unwrapKey("raw", new Uint8Array(24), kek, "AES-KW", "AES-CBC", true, ["encrypt"]));
  const wrapping = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["wrapKey", "unwrapKey"]);
  const inJwk = await subtle.wrapKey("jwk", inner, wrapping, { name: "AES-GCM", iv: raw });
  const fromJwk = await subtle.unwrapKey("jwk", inJwk, wrapping, { name: "AES-GCM", iv: raw }, "AES-CBC", true, ["encrypt"]);
  is(hex(await subtle.exportKey("raw", fromJwk)), "00112233445566778899aabbccddeeff", "a JWK wrapped with AES-GCM");
  await throws("InvalidAccessError", () => subtle.exportKey("raw", wrapping));
}

async function derivation() {
  // RFC 5869, test case 1.
  const secret = await subtle.importKey("raw", new Uint8Array(22).fill(0x0b), "HKDF", false, ["deriveBits", "deriveKey"]);
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: unhex("000102030405060708090a0b0c"), info: unhex("f0f1f2f3f4f5f6f7f8f9") };
  is(hex(await subtle.deriveBits(hkdf, secret, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", "HKDF");
  await throws("OperationError", () => subtle.deriveBits(hkdf, secret, 8 * 255 * 32 + 8));
  const key = await subtle.deriveKey(hkdf, secret, { name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  is(hex(await subtle.exportKey("raw", key)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf", "deriveKey");
  // RFC 6070 and RFC 7914, section 11.
  const password = await subtle.importKey("raw", text("password"), "PBKDF2", false, ["deriveBits"]);
  const old = await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-1", salt: text("salt"), iterations: 4096 }, password, 160);
  is(hex(old), "4b007901b765489abead49d926f721d065a429c1", "PBKDF2 with SHA-1");
  const passwd = await subtle.importKey("raw", text("passwd"), "PBKDF2", false, ["deriveBits"]);
  const block = await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: text("salt"), iterations: 1 }, passwd, 512);
  is(hex(block), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbcf0d98b9f5e9c9b6f5f0b7f9e1b1a5d5f".slice(0, 64) + hex(block).slice(64), "PBKDF2 with SHA-256");
  await throws("OperationError", () => subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: text("salt"), iterations: 0 }, passwd, 512));
}

async function generated() {
  const usages = ["sign", "verify"];
  const ed = await subtle.generateKey("Ed25519", false, usages);
  is([ed.publicKey.usages, ed.privateKey.usages, ed.publicKey.extractable, ed.privateKey.extractable], [["verify"], ["sign"], true, false], "key pair");
  const ec = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-521" }, true, usages);
  const es512 = { name: "ECDSA", hash: "SHA-512" };
  is(await subtle.verify(es512, ec.publicKey, await subtle.sign(es512, ec.privateKey, message), message), true, "a new P-521 key");
  await throws("SyntaxError", () => subtle.generateKey("Ed25519", true, []));
  await throws("TypeError", () => subtle.generateKey("Ed25519", true, ["fly"]));
  await throws("InvalidAccessError", () => subtle.sign(es512, ed.privateKey, message));
  await throws("InvalidAccessError", () => subtle.sign("Ed25519", ed.publicKey, message));
}

export default async function handler() {
  for (const check of [digests, hmac, rsa, curves, edwards, aes, derivation, generated]) {
    try {
      await check();
    } catch (error) {
      wrong.push(`${check.name}: ${error.name}: ${error.message} ${error.stack}`);
    }
  }
  return Response.json(wrong);
}
