import assert from "node:assert/strict";
import { test } from "node:test";
import { hashPassword, parsePasswordHash, plainPassword } from "./hash.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

test("hashes made elsewhere are understood", async () => {
  const cases: [string, string, string][] = [
    // RFC 7914, section 12: scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1)
    [
      "scrypt",
      "pleaseletmein",
      "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
    ],
    // The test of the reference implementation: password, somesalt, t=2, m=65536, p=1
    [
      "argon2",
      "password",
      "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ],
    ["bcrypt", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
    ["bcrypt", "U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
  ];
  for (const [scheme, password, text] of cases) {
    const hash = parsePasswordHash(text);
    assert.equal(hash.scheme, scheme);
    assert.equal(await hash.matches(bytes(password)), true, text);
    assert.equal(await hash.matches(bytes(`${password}x`)), false, text);
    assert.equal(await hash.matches(bytes("")), false, text);
  }
});

test("a hash that we make is one that we understand, and no two are alike", async () => {
  const first = await hashPassword("pass wörd");
  const second = await hashPassword(bytes("pass wörd"));
  assert.notEqual(first, second);
  assert.match(first, /^\$scrypt\$ln=15,r=8,p=3\$/);
  for (const text of [first, second]) {
    assert.equal(await parsePasswordHash(text).matches(bytes("pass wörd")), true);
    assert.equal(await parsePasswordHash(text).matches(bytes("pass word")), false);
  }
});

test("a password that is no UTF-8 matches no bcrypt hash, not even its mended form's", async () => {
  const hash = parsePasswordHash("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
  assert.equal(await hash.matches(Uint8Array.of(0x55, 0x2a, 0x55, 0xff)), false);
});

test("a plain password is compared whole", async () => {
  const plain = plainPassword("secret");
  assert.equal(await plain.matches(bytes("secret")), true);
  assert.equal(await plain.matches(bytes("secre")), false);
  assert.equal(await plain.matches(bytes("")), false);
});

test("a malformed or too dear hash is the operator's error, and is not repeated", () => {
  const cases = [
    "",
    "secret",
    "$1$abc$def",
    "$scrypt$",
    "$scrypt$ln=14,r=8,p=1$c2FsdA$",
    "$scrypt$ln=40,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$scrypt$ln=0,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=4,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
  ];
  for (const text of cases) {
    assert.throws(
      () => parsePasswordHash(text),
      (error: Error & { code?: string }) =>
        error.code === "OPERATOR_PASSWORD_HASH_INVALID" && (text.length < 9 || !error.message.includes(text)),
      text,
    );
  }
});
