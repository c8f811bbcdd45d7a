import { fileURLToPath } from "node:url";

/** One direction under one set of keys, on the other side. */
export interface NativeDirection {
  readonly native: unique symbol;
}

/** Packets of one call, as in native/addon.c. */
export const nativeBatchPackets = 64;

/** As in native/addon.c: one of another version was built from other sources and is not used. */
const version = 2;

/** Results below zero, as in native/packets.h. */
export const NATIVE = { BAD_LENGTH: -1, BAD_TAG: -2 } as const;

/** The functions of native/addon.c: batches of packets, and nothing else. */
export interface NativePackets {
  readonly version: number;
  /** `cipher`: row of `nativeCiphers`. Undefined when OpenSSL has none such. Copies the key. */
  create(cipher: number, sealing: boolean, key: Uint8Array, iv: Uint8Array): NativeDirection | undefined;
  /** How many packets were opened, or a number below zero. `table[0]`: offset after the last; then begin and end of each body. */
  open(
    direction: NativeDirection,
    bytes: Uint8Array,
    start: number,
    end: number,
    sequence: number,
    max: number,
    table: Uint32Array,
  ): number;
  /**
   * Zero, or a number below it. `table`: for each packet the offset in `bytes` that it goes to, the bytes of its body, and the
   * body's offset in `input`, which may be `bytes`: the body then lies where it goes, behind the length.
   */
  seal(
    direction: NativeDirection,
    input: Uint8Array,
    bytes: Uint8Array,
    table: Uint32Array,
    count: number,
    sequence: number,
  ): number;
  free(direction: NativeDirection): void;
}

/** Where `npm ci` builds it, seen from this file; in a release, beside the code. */
const place = import.meta.url.endsWith(".ts")
  ? "../../../native/build/packets.node"
  : "./native/packets.node";

function load(): NativePackets | undefined {
  if (process.env["POSTERN_NATIVE"] === "off") return undefined;
  // In the executable file there is no folder beside the code, and nothing on the disk is trusted to be part of it.
  if (import.meta.url.startsWith("file:///dev/null/")) return undefined;
  const loaded: { exports: Partial<NativePackets> } = { exports: {} };
  try {
    process.dlopen(loaded, fileURLToPath(new URL(place, import.meta.url)));
    return loaded.exports.version === version ? (loaded.exports as NativePackets) : undefined;
  } catch {
    // Not built, or for another machine: the pure path does the same.
    return undefined;
  }
}

/** The native part, where it was built and is not switched off by POSTERN_NATIVE=off. */
export const nativePackets: NativePackets | undefined = load();
