import * as crypto from "node:crypto";
import { poly1305 as noblePoly1305 } from "@noble/ciphers/_poly1305.js";

/** What Node 26 has and its type package has not yet. */
type CreateMac = (
  algorithm: "poly1305",
  key: Uint8Array,
) => { update(data: Uint8Array): { final(): Uint8Array } };

/** The tag of `data` under a key used once (RFC 8439, section 2.5). */
export type Poly1305 = (key: Uint8Array, data: Uint8Array) => Uint8Array;

/** Poly1305 of node:crypto; undefined where it has none (Node 24). */
export const nodePoly1305: Poly1305 | undefined = findNodePoly1305();

/** Poly1305 of @noble/ciphers: about twenty times slower on big packets. */
export const fallbackPoly1305: Poly1305 = (key, data) => noblePoly1305(data, key);

export const poly1305: Poly1305 = nodePoly1305 ?? fallbackPoly1305;

function findNodePoly1305(): Poly1305 | undefined {
  const { createMac } = crypto as { createMac?: CreateMac };
  if (createMac === undefined) return undefined;
  // The key is the raw bytes, not a KeyObject: it lives for one packet, and wrapping it costs more than the tag of a small one.
  const compute: Poly1305 = (key, data) => createMac("poly1305", key).update(data).final();
  try {
    // A build without the algorithm has the function all the same.
    compute(new Uint8Array(32), new Uint8Array(1));
    return compute;
  } catch {
    return undefined;
  }
}
