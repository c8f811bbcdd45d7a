import {
  type CipherAlgorithm,
  cipherAlgorithms,
  createPacketBatch,
  type KeyedMac,
  type MacAlgorithm,
  macAlgorithms,
  maxPacketBytes,
  type PacketOpener,
  type PacketSealer,
  plainOpener,
  plainSealer,
  pureCiphers,
} from "#ssh/algorithms";

/** One way to protect packets, with fixed keys: each pair of opener and sealer made from it fits. */
export interface PacketSuite {
  readonly name: string;
  readonly cipher: CipherAlgorithm | undefined;
  readonly mac: MacAlgorithm | undefined;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly macKey: Uint8Array;
  /** Whether the length can be read on the wire. */
  readonly lengthInClear: boolean;
  opener(iv?: Uint8Array): PacketOpener;
  sealer(iv?: Uint8Array): PacketSealer;
}

/** `count` bytes that are the same in every run. */
export function someBytes(count: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(count);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

function suiteOf(cipher: CipherAlgorithm, mac?: MacAlgorithm): PacketSuite {
  const key = someBytes(cipher.keyBytes, 11);
  const ownIv = someBytes(cipher.ivBytes, 12);
  const macKey = someBytes(mac?.keyBytes ?? 0, 13);
  const keyed: [KeyedMac] | [] = mac === undefined ? [] : [{ algorithm: mac, key: macKey }];
  return {
    name: mac === undefined ? cipher.name : `${cipher.name} ${mac.name}`,
    cipher,
    mac,
    key,
    iv: ownIv,
    macKey,
    lengthInClear: mac === undefined ? cipher.ivBytes > 0 : mac.encryptThenMac,
    opener: (iv = ownIv) => cipher.opener(key, iv, ...keyed),
    sealer: (iv = ownIv) => cipher.sealer(key, iv, ...keyed),
  };
}

/** Every cipher with every MAC that it takes. */
const usedSuites: readonly PacketSuite[] = [...cipherAlgorithms.values()].flatMap((cipher) =>
  cipher.aead ? [suiteOf(cipher)] : [...macAlgorithms.values()].map((mac) => suiteOf(cipher, mac)),
);

/** Ciphers that the native part does, each beside the pure form of it; empty where it is not built. */
export const nativeSuites: readonly { readonly native: PacketSuite; readonly pure: PacketSuite }[] = [
  ...cipherAlgorithms.values(),
].flatMap((cipher) => {
  const pure = pureCiphers.get(cipher.name);
  if (pure === undefined || pure === cipher) return [];
  return [
    { native: suiteOf(cipher), pure: { ...suiteOf(pure), name: `${pure.name} without the native part` } },
  ];
});

/** All that packets may be protected by: what is in use, and what would be without the native part. */
export const packetSuites: readonly PacketSuite[] = [...usedSuites, ...nativeSuites.map(({ pure }) => pure)];

/** What protects nothing, before the first NEWKEYS. */
export const plainSuite: PacketSuite = {
  name: "none",
  cipher: undefined,
  mac: undefined,
  key: new Uint8Array(),
  iv: new Uint8Array(),
  macKey: new Uint8Array(),
  lengthInClear: true,
  opener: () => plainOpener(),
  sealer: () => plainSealer(),
};

/** A padded body around a payload of `payloadBytes` bytes (RFC 4253, section 6). */
export function bodyFor(sealer: PacketSealer, payload: Uint8Array): Uint8Array {
  const besides = sealer.lengthIsPadded ? 4 : 0;
  let padding = sealer.blockBytes - ((1 + payload.length + besides) % sealer.blockBytes);
  if (padding < 4) padding += sealer.blockBytes;
  const body = new Uint8Array(1 + payload.length + padding).fill(0xa5);
  body[0] = padding;
  body.set(payload, 1);
  return body;
}

export function sealAll(sealer: PacketSealer, bodies: readonly Uint8Array[]): Uint8Array {
  const size = bodies.reduce((sum, body) => sum + 4 + body.length + sealer.tagBytes, 0);
  const out = new Uint8Array(size);
  let at = 0;
  for (const body of bodies) at = sealer.seal(body, 0, body.length, out, at);
  sealer.finish();
  return out;
}

/**
 * Opens a stream that comes in pieces, as a framer does: what is left of an incomplete packet comes again, at another place, with
 * the next piece behind it. Returns copies of the bodies.
 */
export function openPieces(opener: PacketOpener, pieces: Iterable<Uint8Array>, max = 7): Uint8Array[] {
  const batch = createPacketBatch();
  const bodies: Uint8Array[] = [];
  let left: Uint8Array = new Uint8Array();
  let place = 3;
  for (const piece of pieces) {
    place = (place * 5 + 1) % 32;
    const bytes = new Uint8Array(place + left.length + piece.length);
    bytes.set(left, place);
    bytes.set(piece, place + left.length);
    let at = place;
    for (;;) {
      const next = opener.open(bytes, at, bytes.length, batch, max);
      for (let n = 0; n < batch.count; n++) {
        bodies.push(Uint8Array.from(batch.bytes[n]?.subarray(batch.start[n], batch.end[n]) ?? []));
      }
      at = next;
      if (batch.count === 0) break;
    }
    left = bytes.slice(at);
    if (left.length > maxPacketBytes + 4 + 64)
      throw new Error("the opener waits for more than a packet can have");
  }
  return bodies;
}
