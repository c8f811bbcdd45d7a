import { createPrivateKey, type KeyObject, randomBytes, randomInt, type webcrypto } from "node:crypto";
import { PosternError } from "#base";
import { Reader, Writer } from "#ssh/wire";
import { bcryptKdf } from "./bcrypt-kdf.ts";
import { type ContainerCipher, containerCiphers, encryptAes256Ctr } from "./container-cipher.ts";
import { keyErrors } from "./errors.ts";
import { base64Url, curves, decodePublicKey, fromBase64Url } from "./public-key.ts";
import type { PublicKey } from "./shapes.ts";

/** What a private key file holds. */
export interface PrivateKeyFile {
  readonly publicKey: PublicKey;
  readonly keyObject: KeyObject;
  readonly comment: string;
}

const magic: Buffer = Buffer.from("openssh-key-v1\0", "latin1");
/** ssh-keygen's default since OpenSSH 9.4. */
const writtenRounds = 24;
const writtenCipher = "aes256-ctr";

/**
 * Opens the container "openssh-key-v1" (PROTOCOL.key of OpenSSH), one key in it. Its bytes are left as they are; what was
 * decrypted is wiped. Throws OPERATOR_KEY_*.
 */
export async function openContainer(bytes: Uint8Array, passphrase: Uint8Array): Promise<PrivateKeyFile> {
  const container = asInvalidFile(() => readContainer(bytes));
  const plain = await decrypt(container, passphrase);
  try {
    return asInvalidFile(() => readPrivate(plain, container.publicKey));
  } finally {
    plain.fill(0);
  }
}

interface Container {
  readonly cipher: ContainerCipher;
  readonly kdf: "none" | "bcrypt";
  readonly kdfOptions: Uint8Array;
  readonly publicKey: PublicKey;
  readonly sealed: Uint8Array;
  readonly tag: Uint8Array;
}

function readContainer(bytes: Uint8Array): Container {
  const reader = new Reader(bytes);
  if (!magic.equals(reader.raw(magic.length))) throw new keyErrors.OPERATOR_KEY_INVALID("not openssh-key-v1");
  const cipherName = reader.ascii();
  const kdf = reader.ascii();
  const kdfOptions = reader.string();
  const count = reader.u32();
  if (count !== 1) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`${count} keys in one file`);
  const publicKey = decodePublicKey(reader.string());
  const sealed = reader.string();
  const cipher = containerCiphers.get(cipherName);
  if (cipher === undefined) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`cipher ${cipherName.slice(0, 80)}`);
  if (kdf !== "none" && kdf !== "bcrypt") {
    throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`key derivation ${kdf.slice(0, 80)}`);
  }
  if ((kdf === "none") !== (cipherName === "none")) {
    throw new keyErrors.OPERATOR_KEY_INVALID("cipher and key derivation do not fit together");
  }
  if (sealed.length < cipher.blockBytes || sealed.length % cipher.blockBytes !== 0) {
    throw new keyErrors.OPERATOR_KEY_INVALID("the encrypted part is no whole number of blocks");
  }
  const tag = reader.raw(cipher.tagBytes);
  reader.expectEnd();
  return { cipher, kdf, kdfOptions, publicKey, sealed, tag };
}

async function decrypt(container: Container, passphrase: Uint8Array): Promise<Buffer> {
  const { cipher, sealed, tag } = container;
  const key = await deriveKey(container, passphrase);
  const plain = cipher.decrypt(key.subarray(0, cipher.keyBytes), key.subarray(cipher.keyBytes), sealed, tag);
  key.fill(0);
  if (plain === undefined) throw new keyErrors.OPERATOR_KEY_PASSPHRASE_WRONG();
  // The same random number twice: unequal when the passphrase was wrong.
  if (!plain.subarray(0, 4).equals(plain.subarray(4, 8))) {
    plain.fill(0);
    if (container.kdf === "none") throw new keyErrors.OPERATOR_KEY_INVALID("its check numbers differ");
    throw new keyErrors.OPERATOR_KEY_PASSPHRASE_WRONG();
  }
  return plain;
}

async function deriveKey(container: Container, passphrase: Uint8Array): Promise<Uint8Array> {
  const { cipher, kdf, kdfOptions } = container;
  if (kdf === "none") return new Uint8Array(0);
  if (passphrase.length === 0) throw new keyErrors.OPERATOR_KEY_PASSPHRASE_NEEDED();
  const { salt, rounds } = asInvalidFile(() => {
    const reader = new Reader(kdfOptions);
    const options = { salt: reader.string(), rounds: reader.u32() };
    reader.expectEnd();
    return options;
  });
  return await bcryptKdf(passphrase, salt, rounds, cipher.keyBytes + cipher.ivBytes);
}

/** Two check numbers, the key, its comment, and padding 1, 2, 3, … */
function readPrivate(plain: Uint8Array, publicKey: PublicKey): PrivateKeyFile {
  const reader = new Reader(plain, 8);
  const type = reader.ascii();
  if (type !== publicKey.type) throw new keyErrors.OPERATOR_KEY_INVALID("its public half is of another type");
  const jwk = readPrivateFields(type, reader, publicKey);
  const comment = Buffer.from(reader.string()).toString("utf8"); // old files may hold other encodings
  const padding = reader.rest();
  if (!padding.every((byte, at) => byte === ((at + 1) & 0xff))) {
    throw new keyErrors.OPERATOR_KEY_INVALID("its padding is wrong");
  }
  return { publicKey, keyObject: importPrivate(jwk), comment };
}

function readPrivateFields(type: string, reader: Reader, publicKey: PublicKey): webcrypto.JsonWebKey {
  // The public numbers of the header; those repeated beside the private ones are read over, and a trial signature later shows
  // whether the two halves belong together.
  const known = publicKey.keyObject.export({ format: "jwk" });
  const curve = curves.find((candidate) => candidate.type === type);
  if (curve !== undefined) {
    reader.string(); // curve
    reader.string(); // point
    return { ...known, d: base64Url(leftPadded(reader.mpint(), curve.fieldBytes)) };
  }
  switch (type) {
    case "ssh-ed25519": {
      reader.string(); // public key
      const pair = reader.string();
      if (pair.length !== 64) throw new keyErrors.OPERATOR_KEY_INVALID("an ed25519 key of wrong length");
      return { ...known, d: base64Url(pair.subarray(0, 32)) };
    }
    case "ssh-rsa": {
      reader.mpint(); // n
      reader.mpint(); // e
      const d = reader.mpint();
      const qi = reader.mpint();
      const p = reader.mpint();
      const q = reader.mpint();
      return {
        ...known,
        d: base64Url(d),
        p: base64Url(p),
        q: base64Url(q),
        qi: base64Url(qi),
        dp: base64Url(exponentFor(d, p)),
        dq: base64Url(exponentFor(d, q)),
      };
    }
    default:
      throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`${type}: its secret half is in an authenticator`);
  }
}

function importPrivate(key: webcrypto.JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ key, format: "jwk" });
  } catch (cause) {
    throw new keyErrors.OPERATOR_KEY_INVALID("its numbers do not fit together", { cause });
  }
}

/** d modulo prime - 1: the file leaves out what the Chinese remainder theorem needs (RFC 8017, section 3.2). */
function exponentFor(d: Uint8Array, prime: Uint8Array): Uint8Array {
  const modulus = toBigInt(prime) - 1n;
  if (modulus <= 0n) throw new keyErrors.OPERATOR_KEY_INVALID("RSA with a factor below 2");
  return fromHex((toBigInt(d) % modulus).toString(16));
}

function toBigInt(magnitude: Uint8Array): bigint {
  return magnitude.length === 0 ? 0n : BigInt(`0x${Buffer.from(magnitude).toString("hex")}`);
}

function fromHex(hex: string): Uint8Array {
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

function leftPadded(magnitude: Uint8Array, bytes: number): Uint8Array {
  if (magnitude.length > bytes) throw new keyErrors.OPERATOR_KEY_INVALID("a private number is too long");
  const padded = new Uint8Array(bytes);
  padded.set(magnitude, bytes - magnitude.length);
  return padded;
}

/** Makes the container, encrypted if there is a passphrase (aes256-ctr, bcrypt with 24 rounds). The caller wipes it. */
export async function sealContainer(file: PrivateKeyFile, passphrase: Uint8Array): Promise<Uint8Array> {
  const encrypted = passphrase.length > 0;
  const plain = writePrivate(file, encrypted ? 16 : 8);
  // Large enough not to grow, which would leave a copy behind.
  const writer = new Writer(plain.length + file.publicKey.blob.length + 256).raw(magic);
  if (!encrypted) {
    writer.string("none").string("none").string("");
    writer.u32(1).string(file.publicKey.blob).string(plain);
    plain.fill(0);
    return writer.bytes();
  }
  const salt = randomBytes(16);
  const key = await bcryptKdf(passphrase, salt, writtenRounds, 32 + 16);
  const sealed = encryptAes256Ctr(key.subarray(0, 32), key.subarray(32), plain);
  key.fill(0);
  plain.fill(0);
  writer.string(writtenCipher).string("bcrypt");
  writer.string(new Writer(24).string(salt).u32(writtenRounds).bytes());
  return writer.u32(1).string(file.publicKey.blob).string(sealed).bytes();
}

function writePrivate(file: PrivateKeyFile, blockBytes: number): Uint8Array {
  const check = randomInt(2 ** 32);
  // Large enough for every key that is made or read here.
  const writer = new Writer(16_384).u32(check).u32(check);
  writePrivateFields(writer, file);
  writer.string(file.comment);
  for (let padding = 1; writer.length % blockBytes !== 0; padding++) writer.u8(padding);
  return writer.bytes();
}

function writePrivateFields(writer: Writer, { publicKey, keyObject }: PrivateKeyFile): void {
  const jwk = keyObject.export({ format: "jwk" });
  const d = fromBase64Url(jwk.d);
  switch (publicKey.type) {
    case "ssh-ed25519": {
      const x = fromBase64Url(jwk.x);
      writer.string("ssh-ed25519").string(x);
      writer
        .u32(d.length + x.length)
        .raw(d)
        .raw(x);
      d.fill(0);
      return;
    }
    case "ssh-rsa":
      writer.string("ssh-rsa");
      for (const number of [jwk.n, jwk.e, jwk.d, jwk.qi, jwk.p, jwk.q]) writer.mpint(fromBase64Url(number));
      return;
    default:
      // Curve and point are written as in the public key.
      writer.raw(publicKey.blob).mpint(d);
      d.fill(0);
  }
}

/** Runs a reader of a file that an operator wrote: what is a peer's fault elsewhere is the file's here. */
function asInvalidFile<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    throw new keyErrors.OPERATOR_KEY_INVALID(cause.message, { cause });
  }
}
