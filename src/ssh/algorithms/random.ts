import { randomBytes } from "node:crypto";
import type { RandomBytes } from "./kex-method.ts";

/** The system's source of randomness: what everything but a replay hands in. */
export const systemRandom: RandomBytes = (count: number): Uint8Array => randomBytes(count);
