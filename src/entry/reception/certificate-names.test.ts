import assert from "node:assert/strict";
import { test } from "node:test";
import { alternativeNames, certificateNames } from "./certificate-names.ts";

const subject = (CN?: string): { subject: never } => ({ subject: { CN } as never });

test("the subject's common name and the alternative names", () => {
  const text = "DNS:a.example, email:ada@example.com, URI:spiffe://x/y, IP Address:192.0.2.1, DirName:CN=x";
  assert.deepEqual(certificateNames({ ...subject("ada"), subjectaltname: text }), [
    "CN:ada",
    "DNS:a.example",
    "email:ada@example.com",
    "URI:spiffe://x/y",
    "IP:192.0.2.1",
  ]);
  assert.deepEqual(certificateNames(subject()), []);
  assert.deepEqual(certificateNames({ subject: undefined } as never), []);
});

test("a name that holds the text's own syntax is one name", () => {
  assert.deepEqual(alternativeNames('DNS:"a, DNS:b", email:c'), ["DNS:a, DNS:b", "email:c"]);
  assert.deepEqual(alternativeNames('DNS:"\\u0000a\\"b"'), ['DNS:\0a"b']);
  assert.deepEqual(alternativeNames(""), []);
});

test("what cannot be read gives no name at all", () => {
  for (const text of ["nonsense", "DNS:a, nonsense", 'DNS:"a', 'DNS:"\\x"', "DNS:a,DNS:b", 'DNS:a"b'])
    assert.equal(alternativeNames(text), undefined, text);
  assert.deepEqual(certificateNames({ ...subject("ada"), subjectaltname: "nonsense" }), []);
});
