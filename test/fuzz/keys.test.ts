import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import {
  certificateOptions,
  checkAuthorizedKey,
  checkCertificate,
  decodeAnyKey,
  decodeCertificate,
  decodePublicKey,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  matchPattern,
  parseAuthorizedKeys,
  parseCidr,
  parseKeyOptions,
  parseKnownHosts,
  parsePrivateKey,
  parsePublicKeyLine,
  sourceAllowed,
  verifySignature,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

const fixture = (name: string): string =>
  readFileSync(new URL(`../../src/ssh/keys/fixtures/${name}`, import.meta.url), "utf8");
const certificateBlob: Uint8Array = parsePublicKeyLine(fixture("id_ed25519-cert.pub")).key.blob;
const ed25519 = generatePrivateKey("ssh-ed25519", "fuzz");
const ecdsa = generatePrivateKey("ecdsa-sha2-nistp256");
const rsaBlob: Uint8Array = parsePublicKeyLine(fixture("id_rsa.pub")).key.blob;
const fidoBlob: Uint8Array = new Writer()
  .string("sk-ssh-ed25519@openssh.com")
  .string(ed25519.blob.subarray(-32))
  .string("ssh:")
  .bytes();

/** Seeds with a few bytes changed, cut out, doubled or put in; and now and then mere noise. */
function mutated(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    kind: fc.constantFrom("flip", "set", "cut", "double", "insert", "length"),
    at: fc.nat(4000),
    size: fc.nat(40),
    byte: fc.nat(255),
  });
  const grown = fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([seed, changes]) => {
      let bytes: Buffer = Buffer.from(seed);
      for (const { kind, at, size, byte } of changes) {
        const where = bytes.length === 0 ? 0 : at % bytes.length;
        const [before, here, after] = [
          bytes.subarray(0, where),
          bytes.subarray(where, where + size),
          bytes.subarray(where + size),
        ];
        if (kind === "flip" && where < bytes.length) bytes[where] = (bytes[where] ?? 0) ^ (1 << (byte % 8));
        else if (kind === "set" && where < bytes.length) bytes[where] = byte;
        else if (kind === "cut") bytes = Buffer.concat([before, after]);
        else if (kind === "double") bytes = Buffer.concat([before, here, here, after]);
        else if (kind === "insert") bytes = Buffer.concat([before, Buffer.alloc(size, byte), here, after]);
        else if (where + 4 <= bytes.length) bytes.writeUInt32BE(byte * 0x01010101, where);
      }
      return bytes;
    });
  return fc.oneof(
    { weight: 9, arbitrary: grown },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  );
}

/** Text made of what means something in the format, and of noise. */
function scraps(words: readonly string[]): fc.Arbitrary<string> {
  const part = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...words) },
    { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
  );
  return fc.array(part, { maxLength: 24 }).map((parts) => parts.join(""));
}

/** Runs a decoder; only errors to the blame that is named may come out. */
function holds<T>(blame: "PEER" | "OPERATOR", decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof PosternError && error.blame === blame, String(error));
    return undefined;
  }
}

test("public key blobs: a key, or PEER_", () => {
  const seeds = [ed25519.blob, ecdsa.blob, rsaBlob, fidoBlob];
  fc.assert(
    fc.property(mutated(seeds), (blob) => {
      const key = holds("PEER", () => decodePublicKey(blob));
      if (key === undefined) return;
      assert.deepEqual(Buffer.from(key.blob), Buffer.from(blob));
      assert.deepEqual(parsePublicKeyLine(formatPublicKey(key.blob)).key.blob, key.blob);
    }),
    { numRuns },
  );
});

test("certificate blobs: PEER_, unless nothing was changed", () => {
  fc.assert(
    fc.property(mutated([certificateBlob]), (blob) => {
      const certificate = holds("PEER", () => decodeCertificate(blob));
      if (certificate !== undefined) assert.deepEqual(Buffer.from(blob), Buffer.from(certificateBlob));
      holds("PEER", () => decodeAnyKey(blob));
    }),
    { numRuns },
  );
});

test("certificates with a right signature over any content: PEER_, or a check with a reason", () => {
  const text = fc.oneof(
    fc.constantFrom("", "alice", "*", "force-command", "source-address"),
    fc.string({ maxLength: 9 }),
  );
  const data = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    text.map((inner) => new Writer().string(inner).bytes()),
  );
  const options = fc.array(fc.tuple(text, data), { maxLength: 4 });
  const content = fc.record({
    kind: fc.nat(3),
    id: data,
    principals: fc.array(text, { maxLength: 4 }),
    after: fc.bigInt(0n, 2n ** 64n - 1n),
    before: fc.bigInt(0n, 2n ** 64n - 1n),
    critical: options,
    extensions: options,
    noise: fc.option(fc.uint8Array({ maxLength: 9 }), { freq: 4, nil: new Uint8Array(0) }),
  });
  fc.assert(
    fc.property(content, ({ kind, id, principals, after, before, critical, extensions, noise }) => {
      const list = new Writer();
      for (const name of principals) list.string(name);
      const pairs = [critical, extensions].map((entries) => {
        const writer = new Writer();
        for (const [name, value] of entries) writer.string(name).string(value);
        return writer.raw(noise).bytes();
      });
      const body = new Writer()
        .string("ssh-ed25519-cert-v01@openssh.com")
        .string("nonce")
        .string(ed25519.blob.subarray(-32))
        .u64(1n)
        .u32(kind)
        .string(id)
        .string(list.bytes())
        .u64(after)
        .u64(before)
        .string(pairs[0] ?? "")
        .string(pairs[1] ?? "")
        .string("")
        .string(ed25519.blob)
        .bytes();
      const signature = ed25519.sign("ssh-ed25519", body);
      assert.ok(signature instanceof Uint8Array);
      const certificate = holds("PEER", () =>
        decodeCertificate(new Writer().raw(body).string(signature).bytes()),
      );
      if (certificate === undefined) return;
      holds("PEER", () => certificateOptions(certificate));
      for (const sort of ["user", "host"] as const) {
        const reason = checkCertificate(certificate, {
          kind: sort,
          principal: "alice",
          nowSeconds: 1_700_000_000,
          authorities: [ed25519.blob],
          sourceAddress: "192.0.2.1",
        });
        assert.ok(reason === undefined || reason.length > 0);
        // Whatever the certificate says, an authority that is not trusted is the end.
        assert.ok(
          checkCertificate(certificate, {
            kind: sort,
            principal: "alice",
            nowSeconds: 1,
            authorities: [],
          }) !== undefined,
        );
      }
    }),
    { numRuns },
  );
});

test("signature blobs: a verdict, and valid only if nothing was changed", () => {
  const data = Buffer.from("data");
  const right = ed25519.sign("ssh-ed25519", data);
  assert.ok(right instanceof Uint8Array);
  const fido = decodePublicKey(fidoBlob);
  const fidoSeed = new Writer().string(fido.type).string(Buffer.alloc(64)).u8(1).u32(1).bytes();
  fc.assert(
    fc.property(mutated([right, fidoSeed]), (blob) => {
      const { valid } = verifySignature(ed25519.publicKey, "ssh-ed25519", data, blob);
      assert.equal(valid, Buffer.compare(blob, right) === 0);
      assert.equal(verifySignature(fido, fido.type, data, blob).valid, false);
    }),
    { numRuns },
  );
});

function armoured(bytes: Uint8Array): string {
  const base64 = Buffer.from(bytes).toString("base64");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${base64}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function unarmoured(text: string): Buffer {
  return Buffer.from(text.replace(/-----[^-]+-----|\s/g, ""), "base64");
}

test("private key containers: a key that signs, or OPERATOR_", async () => {
  const seeds = [unarmoured(fixture("id_ed25519"))];
  for (const key of [ed25519, ecdsa]) seeds.push(unarmoured(await formatPrivateKey(key)));
  await fc.assert(
    fc.asyncProperty(mutated(seeds), async (bytes) => {
      try {
        const key = await parsePrivateKey(armoured(bytes));
        assert.ok(key.algorithms.length > 0);
      } catch (error) {
        assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
      }
    }),
    { numRuns },
  );
});

test("private key texts: a key, or OPERATOR_", async () => {
  const words = [
    "-----BEGIN ",
    "-----END ",
    "OPENSSH ",
    "RSA ",
    "EC ",
    "ENCRYPTED ",
    "PRIVATE KEY",
    "-----",
    "\n",
    "AAAA",
    "=",
    "Proc-Type: 4,ENCRYPTED\n",
  ];
  const seeds = [fixture("id_rsa"), fixture("id_ed25519")].map((text) => Buffer.from(text));
  const text = fc.oneof(
    scraps(words),
    mutated(seeds).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  await fc.assert(
    fc.asyncProperty(text, async (content) => {
      await assert.rejects(parsePrivateKey(content), (error: unknown) => {
        assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
        return true;
      });
    }),
    { numRuns },
  );
});

const keyText: string = formatPublicKey(ed25519.blob);
const lineWords = [
  keyText,
  " ",
  "\t",
  "\n",
  "\r\n",
  "#",
  ",",
  '"',
  "\\",
  "=",
  "*",
  "?",
  "!",
  "host",
  "ssh-ed25519",
  "AAAA",
  "10.0.0.0/8",
];

test("known_hosts: never a throw, every line accounted for", () => {
  const words = [
    ...lineWords,
    "@cert-authority ",
    "@revoked ",
    "@",
    "|1|",
    "|",
    "[host]:22",
    fixture("known_hosts"),
  ];
  fc.assert(
    fc.property(scraps(words), fc.string({ maxLength: 12 }), (text, host) => {
      const known = parseKnownHosts(text, "f");
      const lines = text.split("\n").length;
      assert.ok(known.entries.length + known.warnings.length <= lines);
      const places = [...known.entries, ...known.warnings].map(({ line }) => line);
      assert.ok(places.every((line) => line >= 1 && line <= lines));
      assert.equal(new Set(places).size, places.length);
      known.lookup(host, 2222);
      known.check(host, 22, ed25519.publicKey, 0);
    }),
    { numRuns },
  );
});

/** Lines that are nearly right: options, mostly of known names, then a key; some with a character changed. */
const authorizedLine: fc.Arbitrary<string> = (() => {
  const flag = fc.constantFrom(
    "restrict",
    "pty",
    "no-pty",
    "cert-authority",
    "no-touch-required",
    "X11-Forwarding",
  );
  const name = fc.constantFrom(
    "command",
    "from",
    "environment",
    "principals",
    "permitopen",
    "permitlisten",
    "tunnel",
    "expiry-time",
  );
  const value = fc.oneof(
    fc.constantFrom(
      "10.0.0.0/8,!10.1.1.1",
      "A=b c",
      "host:80",
      "[::1]:*",
      "8080",
      "any",
      "3",
      "20300101Z",
      "a,b",
      'a \\" b',
    ),
    fc.string({ maxLength: 8 }),
  );
  const option = fc.oneof(
    { weight: 4, arbitrary: flag },
    { weight: 6, arbitrary: fc.tuple(name, value).map(([key, content]) => `${key}="${content}"`) },
    { weight: 1, arbitrary: scraps(lineWords) },
  );
  const whole = fc
    .tuple(
      fc.array(option, { maxLength: 4 }),
      fc.constantFrom(keyText, formatPublicKey(rsaBlob)),
      fc.string({ maxLength: 5 }),
    )
    .map(
      ([options, key, comment]) => `${options.join(",")}${options.length > 0 ? " " : ""}${key} ${comment}`,
    );
  const damaged = fc
    .tuple(whole, fc.nat(60), fc.string({ maxLength: 2 }))
    .map(([line, at, text]) => line.slice(0, at) + text + line.slice(at + 1));
  return fc.oneof({ weight: 3, arbitrary: whole }, { weight: 1, arbitrary: damaged });
})();

test("authorized_keys: never a throw; what is passed over has a reason", () => {
  const file = fc.oneof(
    { weight: 4, arbitrary: fc.array(authorizedLine, { maxLength: 5 }).map((lines) => lines.join("\n")) },
    { weight: 1, arbitrary: scraps(lineWords) },
  );
  let read = 0;
  let passedOver = 0;
  fc.assert(
    fc.property(file, (text) => {
      const reasons: string[] = [];
      const keys = parseAuthorizedKeys(text, "f", ({ reason }) => reasons.push(reason));
      const meant = text.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("#"));
      assert.equal(keys.length + reasons.length, meant.length);
      assert.ok(reasons.every((reason) => reason !== ""));
      for (const key of keys) {
        const reason = checkAuthorizedKey(key, ed25519.publicKey, {
          user: "u",
          address: "10.0.0.1",
          nowSeconds: 1,
        });
        assert.ok(reason === undefined || reason.length > 0);
      }
      const result = parseKeyOptions(text);
      assert.ok((result.options === undefined) !== (result.reason === undefined));
      read += keys.length;
      passedOver += reasons.length;
    }),
    { numRuns },
  );
  // The generator is of use only while it makes both.
  assert.ok(read > numRuns / 4 && passedOver > numRuns / 4, `${read} read, ${passedOver} passed over`);
});

test("a restriction that is written is never lost", () => {
  const harmless = fc.constantFrom(
    "pty",
    "no-pty",
    'command="a, \\"b"',
    'environment="A=b"',
    "user-rc",
    'permitopen="h:1"',
  );
  fc.assert(
    fc.property(
      fc.array(harmless, { maxLength: 5 }),
      fc.array(harmless, { maxLength: 5 }),
      (before, after) => {
        const text = [...before, 'from="192.0.2.0/24"', ...after].join(",");
        const [key] = parseAuthorizedKeys(`${text} ${keyText}`, "f");
        // Either the line does not count, as with two commands, or the restriction is there.
        if (key !== undefined) assert.equal(key.options.from, "192.0.2.0/24");
      },
    ),
    { numRuns },
  );
});

test("patterns, networks and lists: an answer for any text", () => {
  const word = fc.oneof(
    scraps(["*", "?", "!", ",", "10.0.0.0", "/8", "::", "::1", ".", ":", "%eth0", "/"]),
    fc.ipV6(),
    fc.ipV4(),
  );
  fc.assert(
    fc.property(word, word, (one, other) => {
      matchPattern(one, other);
      parseCidr(one);
      sourceAllowed(one, other, other);
      assert.equal(sourceAllowed(`${one},!*`, other), false);
    }),
    { numRuns },
  );
});
