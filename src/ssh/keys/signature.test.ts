import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, hash, type KeyObject, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Slow } from "#ssh/algorithms";
import {
  algorithmFits,
  certificateName,
  decodePublicKey,
  type GeneratedType,
  generatePrivateKey,
  isCertificateType,
  keyAlgorithms,
  missingPresence,
  parsePrivateKey,
  parsePublicKeyLine,
  plainName,
  type PrivateKey,
  type PublicKey,
  publicKeyTypes,
  verifySignature,
} from "#ssh/keys";
import { Reader, Writer } from "#ssh/wire";
import { code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { keyKinds, makeKey } from "#test/support/test-keys";

const generatedTypes: readonly GeneratedType[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

async function signed(key: PrivateKey, algorithm: string, data: Uint8Array): Promise<Uint8Array> {
  const result = key.sign(algorithm, data);
  return result instanceof Slow ? await result.run() : result;
}

test("every kind of key signs what it verifies, and nothing else", async () => {
  const data = Buffer.from("what is signed");
  for (const type of generatedTypes) {
    const key = generatePrivateKey(type);
    assert.ok(key.algorithms.length > 0);
    for (const algorithm of key.algorithms) {
      const blob = await signed(key, algorithm, data);
      assert.equal(new Reader(blob).ascii(), algorithm);
      assert.deepEqual(verifySignature(key.publicKey, algorithm, data, blob), { valid: true });
      assert.equal(
        verifySignature(key.publicKey, algorithm, Buffer.from("what is singed"), blob).valid,
        false,
      );
      const other = generatePrivateKey(type === "ssh-rsa" ? "ssh-ed25519" : type);
      assert.equal(verifySignature(other.publicKey, algorithm, data, blob).valid, false);
      for (let length = 0; length < blob.length; length++) {
        assert.equal(verifySignature(key.publicKey, algorithm, data, blob.subarray(0, length)).valid, false);
      }
      assert.equal(
        verifySignature(key.publicKey, algorithm, data, Buffer.concat([blob, Buffer.of(0)])).valid,
        false,
      );
      for (let at = 0; at < blob.length; at++) {
        const forged = Uint8Array.from(blob);
        forged[at] = (forged[at] ?? 0) ^ (1 << (at % 8));
        assert.equal(verifySignature(key.publicKey, algorithm, data, forged).valid, false, `byte ${at}`);
      }
    }
  }
});

test("an RSA signature runs outside the loop", () => {
  const key = generatePrivateKey("ssh-rsa");
  assert.deepEqual(key.algorithms, ["rsa-sha2-512", "rsa-sha2-256"]);
  assert.ok(key.sign("rsa-sha2-512", Buffer.from("x")) instanceof Slow);
});

test("SHA-1 is signed and verified only by its name, and never offered", async () => {
  const key = generatePrivateKey("ssh-rsa");
  const data = Buffer.from("old upstream");
  const blob = await signed(key, "ssh-rsa", data);
  assert.equal(verifySignature(key.publicKey, "ssh-rsa", data, blob).valid, true);
  assert.equal(verifySignature(key.publicKey, "rsa-sha2-256", data, blob).valid, false);
  assert.ok(!keyAlgorithms(key.publicKey).includes("ssh-rsa"));
});

test("the blob must name the agreed algorithm, and the algorithm must fit the key", async () => {
  const rsa = generatePrivateKey("ssh-rsa");
  const ed25519 = generatePrivateKey("ssh-ed25519");
  const data = Buffer.from("data");
  const blob = await signed(rsa, "rsa-sha2-256", data);
  assert.match(verifySignature(rsa.publicKey, "rsa-sha2-512", data, blob).reason ?? "", /another algorithm/);
  assert.match(verifySignature(ed25519.publicKey, "rsa-sha2-256", data, blob).reason ?? "", /does not fit/);
  const certificate = "rsa-sha2-256-cert-v01@openssh.com";
  assert.match(verifySignature(rsa.publicKey, certificate, data, blob).reason ?? "", /does not fit/);
  assert.throws(() => ed25519.sign("rsa-sha2-256", data), code("BUG_KEY_ALGORITHM"));
  assert.throws(() => rsa.sign("none", data), code("BUG_KEY_ALGORITHM"));
});

test("a short RSA key proves nothing, unless the caller allows it", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const { e, n } = publicKey.export({ format: "jwk" });
  const key = decodePublicKey(
    new Writer()
      .string("ssh-rsa")
      .mpint(Buffer.from(e ?? "", "base64url"))
      .mpint(Buffer.from(n ?? "", "base64url"))
      .bytes(),
  );
  const data = Buffer.from("data");
  const blob = new Writer()
    .string("rsa-sha2-256")
    .string(sign("sha256", data, privateKey))
    .bytes();
  assert.match(verifySignature(key, "rsa-sha2-256", data, blob).reason ?? "", /1024 bits/);
  assert.equal(verifySignature(key, "rsa-sha2-256", data, blob, { minRsaBits: 1024 }).valid, true);
});

test("names with and without certificate", () => {
  for (const type of publicKeyTypes) {
    const certified = certificateName(type);
    assert.ok(isCertificateType(certified) && !isCertificateType(type));
    assert.equal(plainName(certified), type);
    assert.ok(algorithmFits(certified, certified) && algorithmFits(type, type));
    assert.ok(!algorithmFits(certified, type) && !algorithmFits(type, certified));
  }
  assert.equal(certificateName("sk-ssh-ed25519@openssh.com"), "sk-ssh-ed25519-cert-v01@openssh.com");
  assert.ok(algorithmFits("ssh-rsa-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"));
});

/** A FIDO authenticator in software (PROTOCOL.u2f). */
interface Authenticator {
  readonly key: PublicKey;
  sign(data: Uint8Array, flags: number, counter: number): Uint8Array;
}

function fidoMessage(application: string, data: Uint8Array, flags: number, counter: number): Buffer {
  const tail = Buffer.alloc(5);
  tail.writeUInt8(flags, 0);
  tail.writeUInt32BE(counter, 1);
  return Buffer.concat([hash("sha256", application, "buffer"), tail, hash("sha256", data, "buffer")]);
}

function fidoBlob(type: string, inner: Uint8Array, flags: number, counter: number): Uint8Array {
  return new Writer().string(type).string(inner).u8(flags).u32(counter).bytes();
}

function number(key: KeyObject, name: "x" | "y"): Buffer {
  return Buffer.from(key.export({ format: "jwk" })[name] ?? "", "base64url");
}

function ed25519Authenticator(application: string): Authenticator {
  const type = "sk-ssh-ed25519@openssh.com";
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    key: decodePublicKey(
      new Writer().string(type).string(number(publicKey, "x")).string(application).bytes(),
    ),
    sign: (data, flags, counter) =>
      fidoBlob(type, sign(null, fidoMessage(application, data, flags, counter), privateKey), flags, counter),
  };
}

function ecdsaAuthenticator(application: string): Authenticator {
  const type = "sk-ecdsa-sha2-nistp256@openssh.com";
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const point = Buffer.concat([Buffer.of(4), number(publicKey, "x"), number(publicKey, "y")]);
  const blob = new Writer().string(type).string("nistp256").string(point).string(application).bytes();
  return {
    key: decodePublicKey(blob),
    sign(data, flags, counter) {
      const message = fidoMessage(application, data, flags, counter);
      const pair = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
      const inner = new Writer().mpint(pair.subarray(0, 32)).mpint(pair.subarray(32)).bytes();
      return fidoBlob(type, inner, flags, counter);
    },
  };
}

test("FIDO signatures: valid, touched, verified, counted; every part is covered", () => {
  for (const make of [ed25519Authenticator, ecdsaAuthenticator]) {
    const authenticator = make("ssh:");
    const { key } = authenticator;
    const data = Buffer.from("session identifier and request");
    const blob = authenticator.sign(data, 0x05, 0xfffffffe);
    assert.deepEqual(verifySignature(key, key.type, data, blob), {
      valid: true,
      touched: true,
      verified: true,
      counter: 0xfffffffe,
    });
    const silent = verifySignature(key, key.type, data, authenticator.sign(data, 0x00, 1));
    assert.deepEqual([silent.valid, silent.touched, silent.verified], [true, false, false]);
    assert.equal(verifySignature(key, key.type, Buffer.from("other"), blob).valid, false);
    for (let length = 0; length < blob.length; length++) {
      assert.equal(verifySignature(key, key.type, data, blob.subarray(0, length)).valid, false);
    }
    assert.equal(verifySignature(key, key.type, data, Buffer.concat([blob, Buffer.of(0)])).valid, false);
    for (let at = 0; at < blob.length; at++) {
      const forged = Uint8Array.from(blob);
      forged[at] = (forged[at] ?? 0) ^ 4;
      assert.equal(verifySignature(key, key.type, data, forged).valid, false, `byte ${at}`);
    }
    // The same key under another application is another key.
    const moved = Buffer.from(key.blob);
    moved[moved.length - 1] = 0x3b;
    assert.equal(verifySignature(decodePublicKey(moved), key.type, data, blob).valid, false);
    assert.equal(verifySignature(key, plainName("ssh-ed25519"), data, blob).valid, false);
  }
});

test("demands on presence concern FIDO keys only", () => {
  const both = { touchRequired: true, verifyRequired: true };
  assert.equal(missingPresence({ valid: true }, both), undefined);
  assert.match(missingPresence({ valid: true, touched: false, verified: true }, both) ?? "", /touched/);
  assert.match(missingPresence({ valid: true, touched: true, verified: false }, both) ?? "", /who is there/);
  const none = { touchRequired: false, verifyRequired: false };
  assert.equal(missingPresence({ valid: true, touched: false, verified: false }, none), undefined);
});

/** PROTOCOL.sshsig: what is signed for a file. */
function sshsigMessage(namespace: string, hashName: string, content: Uint8Array): Uint8Array {
  return new Writer()
    .raw(Buffer.from("SSHSIG"))
    .string(namespace)
    .string("")
    .string(hashName)
    .string(hash(hashName, content, "buffer"))
    .bytes();
}

test("signatures by ssh-keygen verify here, and ours there", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const content = Buffer.from("a file to be signed\n");
  writeFileSync(folder.at("file"), content);
  for (const kind of keyKinds) {
    const files = makeKey(folder.at(kind), kind);
    execFileSync("ssh-keygen", ["-q", "-Y", "sign", "-f", files.path, "-n", "test", folder.at("file")], {
      stdio: "ignore",
    });
    const armour = readFileSync(folder.at("file.sig"), "utf8").replace(/-----[^-]+-----|\s/g, "");
    const reader = new Reader(Buffer.from(armour, "base64"));
    assert.equal(Buffer.from(reader.raw(6)).toString(), "SSHSIG");
    reader.u32();
    const blob = reader.string();
    const namespace = reader.text();
    reader.string();
    const hashName = reader.ascii();
    const theirs = reader.string();
    const key = decodePublicKey(blob);
    const message = sshsigMessage(namespace, hashName, content);
    const algorithm = new Reader(theirs).ascii();
    assert.deepEqual(verifySignature(key, algorithm, message, theirs), { valid: true });
    assert.deepEqual(key.blob, parsePublicKeyLine(files.publicLine).key.blob);

    const ours = await signed(await parsePrivateKey(readFileSync(files.path)), algorithm, message);
    const file = new Writer()
      .raw(Buffer.from("SSHSIG"))
      .u32(1)
      .string(blob)
      .string(namespace)
      .string("")
      .string(hashName)
      .string(ours)
      .bytes();
    const lines =
      Buffer.from(file)
        .toString("base64")
        .match(/.{1,70}/g) ?? [];
    const text = ["-----BEGIN SSH SIGNATURE-----", ...lines, "-----END SSH SIGNATURE-----", ""].join("\n");
    writeFileSync(folder.at("ours.sig"), text);
    const check = spawnSync(
      "ssh-keygen",
      ["-Y", "check-novalidate", "-n", "test", "-s", folder.at("ours.sig")],
      { input: content },
    );
    assert.equal(check.status, 0, check.stderr.toString());
    execFileSync("rm", [folder.at("file.sig")]);
  }
});
