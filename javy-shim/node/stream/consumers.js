// All that a stream has, at once.

import { Buffer } from "node:buffer";

export async function buffer(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  return Buffer.concat(chunks);
}
export const arrayBuffer = async (stream) => (await buffer(stream)).buffer;
export const bytes = async (stream) => new Uint8Array(await arrayBuffer(stream));
export const blob = async (stream) => new Blob([await buffer(stream)]);
export const text = async (stream) => new TextDecoder().decode(await buffer(stream));
export const json = async (stream) => JSON.parse(await text(stream));

export default { arrayBuffer, blob, buffer, bytes, json, text };
