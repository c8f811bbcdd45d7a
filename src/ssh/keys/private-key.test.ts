import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Slow } from "#ssh/algorithms";
import {
  type Certificate,
  decodeCertificate,
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  type GeneratedType,
  generatePrivateKey,
  keyErrors,
  parsePrivateKey,
  parsePublicKeyLine,
  type PrivateKey,
  verifySignature,
  withCertificate,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, certify, keyKinds, makeKey } from "#test/support/test-keys";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const passphrase = "correct horse";
/** Quick to open and to make. */
const oneRound = ["-a", "1"];
const smallRsa = (kind: string): readonly string[] => (kind === "rsa" ? ["-b", "2048"] : []);

async function assertSigns(key: PrivateKey): Promise<void> {
  const data = Buffer.from("data");
  for (const algorithm of key.algorithms) {
    const result = key.sign(algorithm, data);
    const blob = result instanceof Slow ? await result.run() : result;
    assert.deepEqual(verifySignature(key.publicKey, algorithm, data, blob), { valid: true });
  }
}

test("encrypted keys of fixed fixtures open with their passphrase only", async () => {
  for (const [file, comment] of [
    ["id_ed25519", "fixture ed25519"],
    ["id_rsa", ""],
  ] as const) {
    const key = await parsePrivateKey(fixture(file), passphrase);
    assert.equal(key.comment, comment);
    assert.equal(formatPublicKey(key.blob), bareKey(fixture(`${file}.pub`)));
    await assertSigns(key);
    await assert.rejects(parsePrivateKey(fixture(file)), code("OPERATOR_KEY_PASSPHRASE_NEEDED"));
    await assert.rejects(parsePrivateKey(fixture(file), "wrong"), code("OPERATOR_KEY_PASSPHRASE_WRONG"));
  }
});

test("private keys by ssh-keygen: every kind in every format", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  for (const kind of keyKinds) {
    for (const format of ["RFC4716", "PEM", "PKCS8"]) {
      for (const secret of ["", passphrase]) {
        const name = `${kind}-${format}-${secret === "" ? "plain" : "locked"}`;
        const files = makeKey(folder.at(name), kind, secret, ["-m", format, ...oneRound, ...smallRsa(kind)]);
        const content = readFileSync(files.path);
        const key = await parsePrivateKey(content, Buffer.from(secret));
        assert.equal(fingerprint(key.blob), files.fingerprint, name);
        assert.equal(formatPublicKey(key.blob), bareKey(files.publicLine), name);
        await assertSigns(key);
        if (secret === "") {
          assert.deepEqual((await parsePrivateKey(content, "not needed")).blob, key.blob);
          continue;
        }
        await assert.rejects(parsePrivateKey(content), code("OPERATOR_KEY_PASSPHRASE_NEEDED"), name);
        await assert.rejects(
          parsePrivateKey(content, "Correct horse"),
          code("OPERATOR_KEY_PASSPHRASE_WRONG"),
          name,
        );
      }
    }
  }
});

test("the openssh-key-v1 container: every cipher", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const ciphers = [
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
  ];
  for (const cipher of ciphers) {
    const files = makeKey(folder.at(cipher), "ecdsa-521", passphrase, ["-Z", cipher, ...oneRound]);
    const content = readFileSync(files.path, "utf8");
    const key = await parsePrivateKey(content, passphrase);
    assert.equal(fingerprint(key.blob), files.fingerprint, cipher);
    assert.equal(key.comment, "test ecdsa-521");
    await assertSigns(key);
    await assert.rejects(parsePrivateKey(content, "wrong"), code("OPERATOR_KEY_PASSPHRASE_WRONG"), cipher);
  }
});

test("keys made here are read by ssh-keygen and here", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const types: readonly GeneratedType[] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
  ];
  for (const type of types) {
    const key = generatePrivateKey(type, "made here");
    assert.equal(key.publicKey.type, type);
    // Writing and reading with 24 rounds takes a second.
    for (const secret of type === "ssh-ed25519" || type === "ssh-rsa" ? ["", passphrase] : [""]) {
      const path = folder.at(`${type}-${secret === "" ? "plain" : "locked"}`);
      const text = await formatPrivateKey(key, secret);
      writeFileSync(path, text, { mode: 0o600 });
      const line = execFileSync("ssh-keygen", ["-y", "-P", secret, "-f", path], { encoding: "utf8" });
      assert.equal(line.trim(), formatPublicKey(key.blob, "made here"));
      const again = await parsePrivateKey(text, secret);
      assert.equal(again.comment, "made here");
      assert.ok(again.keyObject.equals(key.keyObject));
    }
  }
  const refused = spawnSync("ssh-keygen", ["-y", "-P", "wrong", "-f", folder.at("ssh-ed25519-locked")]);
  assert.notEqual(refused.status, 0);
});

test("a key from PEM can be written in OpenSSH's format", async () => {
  const key = await parsePrivateKey(fixture("id_rsa"), passphrase);
  const again = await parsePrivateKey(await formatPrivateKey(key));
  assert.ok(again.keyObject.equals(key.keyObject));
  await assertSigns(again);
});

test("text around the key, and line ends of Windows, do no harm", async () => {
  const text = await formatPrivateKey(generatePrivateKey("ssh-ed25519", "c"));
  const key = await parsePrivateKey(`# a note\r\n${text.replaceAll("\n", "\r\n")}\r\nafter`);
  assert.equal(key.comment, "c");
});

function pem(key: KeyObject): string {
  return key.export({ format: "pem", type: "pkcs8" });
}

test("what is no usable private key says so", async () => {
  const unsupported = [
    pem(generateKeyPairSync("x25519").privateKey),
    pem(generateKeyPairSync("ed448").privateKey),
    pem(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey),
    pem(generateKeyPairSync("rsa", { modulusLength: 512 }).privateKey),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
  ];
  for (const text of unsupported) {
    await assert.rejects(parsePrivateKey(text), code("OPERATOR_KEY_UNSUPPORTED"), text);
  }
  const invalid = [
    "",
    "PuTTY-User-Key-File-3: ssh-ed25519",
    fixture("id_ed25519.pub"),
    "-----BEGIN OPENSSH PRIVATE KEY-----\n!!\n-----END OPENSSH PRIVATE KEY-----\n",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    fixture("id_ed25519").replace("-----END", ""),
  ];
  for (const text of invalid) await assert.rejects(parsePrivateKey(text), code("OPERATOR_KEY_INVALID"), text);
});

function armoured(bytes: Uint8Array): string {
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${Buffer.from(bytes).toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function containerOf(text: string): Buffer {
  return Buffer.from(text.replace(/-----[^-]+-----|\s/g, ""), "base64");
}

test("a container with a byte missing, over, or changed never gives a key that is not its own", async () => {
  const key = generatePrivateKey("ssh-ed25519", "c");
  const whole = containerOf(await formatPrivateKey(key));
  for (let length = 0; length < whole.length; length++) {
    await assert.rejects(
      parsePrivateKey(armoured(whole.subarray(0, length))),
      code("OPERATOR_KEY_INVALID"),
      `${length} bytes`,
    );
  }
  await assert.rejects(
    parsePrivateKey(armoured(Buffer.concat([whole, Buffer.of(0)]))),
    code("OPERATOR_KEY_INVALID"),
  );
  const seen = new Set<string>();
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 1;
    try {
      const read = await parsePrivateKey(armoured(changed));
      // Comment, check numbers in step, and the public key that is repeated inside are not covered by anything.
      assert.deepEqual(read.blob, key.blob);
      assert.ok(read.keyObject.equals(key.keyObject));
      seen.add("the same key");
    } catch (error) {
      assert.ok(
        error instanceof Error && error.name.startsWith("OPERATOR_KEY_"),
        `byte ${at}: ${String(error)}`,
      );
      seen.add(error.name);
    }
  }
  assert.ok(seen.has("OPERATOR_KEY_INVALID") && seen.has("the same key"));
});

test("parameters of the container that nobody writes are refused before they cost anything", async () => {
  const { blob } = generatePrivateKey("ssh-ed25519");
  const container = (cipher: string, kdf: string, salt: Uint8Array, rounds: number, keys = 1): string =>
    armoured(
      new Writer()
        .raw(Buffer.from("openssh-key-v1\0"))
        .string(cipher)
        .string(kdf)
        .string(new Writer().string(salt).u32(rounds).bytes())
        .u32(keys)
        .string(blob)
        .string(Buffer.alloc(160))
        .bytes(),
    );
  const salt = Buffer.alloc(16);
  const cases = [
    [container("aes256-ctr", "bcrypt", salt, 4097), "OPERATOR_KEY_UNSUPPORTED"],
    [container("aes256-ctr", "bcrypt", salt, 0), "OPERATOR_KEY_INVALID"],
    [container("aes256-ctr", "bcrypt", Buffer.alloc(0), 1), "OPERATOR_KEY_INVALID"],
    [container("aes256-ctr", "argon2", salt, 1), "OPERATOR_KEY_UNSUPPORTED"],
    [container("rot13", "bcrypt", salt, 1), "OPERATOR_KEY_UNSUPPORTED"],
    [container("aes256-ctr", "none", salt, 1), "OPERATOR_KEY_INVALID"],
    [container("none", "bcrypt", salt, 1), "OPERATOR_KEY_INVALID"],
    [container("none", "none", salt, 1, 2), "OPERATOR_KEY_UNSUPPORTED"],
  ] as const;
  for (const [text, expected] of cases) {
    await assert.rejects(parsePrivateKey(text, "secret"), code(expected));
  }
});

test("halves that do not belong together are noticed when the key is read", async () => {
  for (const type of ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] as const) {
    const mine = generatePrivateKey(type);
    const other = generatePrivateKey(type);
    const bytes = containerOf(await formatPrivateKey(mine));
    const swapped = Buffer.from(bytes);
    // The public key in the header; the private half follows.
    swapped.set(other.blob, bytes.indexOf(mine.blob));
    await assert.rejects(parsePrivateKey(armoured(swapped)), code("OPERATOR_KEY_INVALID"), type);
  }
});

test("a FIDO key file is refused with the reason", async () => {
  const type = "sk-ssh-ed25519@openssh.com";
  const point = Buffer.from(generatePrivateKey("ssh-ed25519").blob.subarray(-32));
  const publicBlob = new Writer().string(type).string(point).string("ssh:").bytes();
  const inner = new Writer().u32(1).u32(1).raw(publicBlob).u8(1).string("handle").string("").string("c");
  for (let padding = 1; inner.length % 8 !== 0; padding++) inner.u8(padding);
  const bytes = new Writer()
    .raw(Buffer.from("openssh-key-v1\0"))
    .string("none")
    .string("none")
    .string("")
    .u32(1)
    .string(publicBlob)
    .string(inner.bytes())
    .bytes();
  await assert.rejects(parsePrivateKey(armoured(bytes)), (error: unknown) => {
    assert.ok(error instanceof keyErrors.OPERATOR_KEY_UNSUPPORTED);
    assert.match(error.message, /authenticator/);
    return true;
  });
});

test("a key with its certificate offers and signs as the certificate", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const authority = makeKey(folder.at("ca"));
  for (const kind of ["ed25519", "rsa"] as const) {
    const files = makeKey(folder.at(kind), kind);
    const path = certify(authority, files, { principals: ["me"] });
    const certificate: Certificate = decodeCertificate(
      parsePublicKeyLine(readFileSync(path, "utf8")).key.blob,
    );
    const plain = await parsePrivateKey(readFileSync(files.path));
    const key = withCertificate(plain, certificate);
    assert.deepEqual(key.blob, certificate.blob);
    const data = Buffer.from("data");
    for (const algorithm of key.algorithms) {
      assert.match(algorithm, /-cert-v01@openssh\.com$/);
      const result = key.sign(algorithm, data);
      const blob = result instanceof Slow ? await result.run() : result;
      assert.deepEqual(verifySignature(certificate, algorithm, data, blob), { valid: true });
    }
    assert.throws(() => key.sign(plain.algorithms[0] ?? "", data), code("BUG_KEY_ALGORITHM"));
    assert.throws(
      () => withCertificate(generatePrivateKey("ssh-ed25519"), certificate),
      code("OPERATOR_KEY_INVALID"),
    );
  }
});
