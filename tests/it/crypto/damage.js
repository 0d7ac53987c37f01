// Damages encoded keys and uses what can still be read of them: every failure must be one that the Web Cryptography API names.

const { subtle } = crypto;
const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const message = new Uint8Array(16);

function* damaged(original, step) {
  for (let index = 0; index < original.length; index += step) {
    for (const value of [0x00, 0xff, original[index] ^ 1]) {
      const copy = original.slice();
      copy[index] = value;
      yield copy;
    }
  }
  for (let length = 0; length < original.length; length += step * 3) yield original.slice(0, length);
  yield new Uint8Array(100_000).fill(0x30);
}

export default async function handler() {
  const unexpected = [];
  let refused = 0;
  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      refused += 1;
      if (error.name !== "DataError" && error.name !== "OperationError") unexpected.push(`${error.name}: ${error.message}`);
      if (error.message.includes("the host failed")) unexpected.push(error.message);
    }
  }
  const pss = { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 };
  const plans = [
    ["pkcs8", VECTORS.rsaPrivate, pss, "sign", 37],
    ["spki", VECTORS.rsaPublic, pss, "verify", 11],
  ];
  for (const namedCurve of ["P-256", "P-384", "P-521"]) {
    const ecdsa = { name: "ECDSA", namedCurve, hash: "SHA-256" };
    plans.push(["pkcs8", VECTORS[namedCurve].pkcs8, ecdsa, "sign", 9], ["spki", VECTORS[namedCurve].spki, ecdsa, "verify", 9]);
  }
  const ed25519 = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const seed = btoa(String.fromCharCode(...new Uint8Array(await subtle.exportKey("pkcs8", ed25519.privateKey))));
  plans.push(["pkcs8", seed, { name: "Ed25519" }, "sign", 3]);
  for (const [format, original, algorithm, usage, step] of plans) {
    for (const data of damaged(bytes(original), step)) {
      await attempt(async () => {
        const key = await subtle.importKey(format, data, algorithm, true, [usage]);
        await subtle.exportKey("jwk", key);
        if (usage === "sign") await subtle.sign(algorithm, key, message);
        else await subtle.verify(algorithm, key, message, message);
      });
    }
  }
  return Response.json({ refused, unexpected });
}
