import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Certificate,
  decodeCertificate,
  formatKnownHostsLine,
  formatPublicKey,
  generatePrivateKey,
  type HostKeyVerdict,
  type KnownHostMatch,
  parseKnownHosts,
  parsePublicKeyLine,
} from "#ssh/keys";
import { code } from "#test/support/decoder";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, certify, makeKey } from "#test/support/test-keys";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const one = generatePrivateKey("ssh-ed25519").publicKey;
const two = generatePrivateKey("ssh-ed25519").publicKey;
const three = generatePrivateKey("ssh-ed25519").publicKey;
const lineOf = (hosts: string, key = one, marker = ""): string =>
  `${marker}${hosts} ${formatPublicKey(key.blob)}`;

function numbers(entries: KnownHostMatch["keys"]): number[] {
  return entries.map((entry) => entry.line);
}

/** The line numbers of what was found. */
function lines(match: KnownHostMatch): Record<keyof KnownHostMatch, number[]> {
  return {
    keys: numbers(match.keys),
    authorities: numbers(match.authorities),
    revoked: numbers(match.revoked),
  };
}

function keyLines(text: string, host: string, port?: number): number[] {
  return lines(parseKnownHosts(text, "known_hosts").lookup(host, port)).keys;
}

test("the hashed names of the fixtures are found by name and port", () => {
  const known = parseKnownHosts(fixture("known_hosts"), "known_hosts");
  assert.deepEqual(known.warnings, []);
  assert.equal(known.lookup("gate.example.org").keys[0]?.key.type, "ssh-ed25519");
  assert.equal(known.lookup("Gate.Example.ORG", 2222).keys[0]?.key.type, "ssh-rsa");
  assert.deepEqual(known.lookup("gate.example.org", 2223).keys, []);
  assert.deepEqual(known.lookup("example.org").keys, []);
});

test("names, patterns, negation, ports", () => {
  const text = [
    lineOf("host"),
    lineOf("other,host,192.0.2.1"),
    lineOf("*.example.org,!bad.example.org"),
    lineOf("[host]:2222"),
    lineOf("[*.example.org]:2222"),
    lineOf("2001:db8::1"),
    lineOf("HOST"),
    lineOf("h?st"),
  ].join("\n");
  assert.deepEqual(keyLines(text, "host"), [1, 2, 7, 8]);
  assert.deepEqual(keyLines(text, "Host"), [1, 2, 7, 8]);
  assert.deepEqual(keyLines(text, "192.0.2.1"), [2]);
  assert.deepEqual(keyLines(text, "good.example.org"), [3]);
  assert.deepEqual(keyLines(text, "bad.example.org"), []);
  assert.deepEqual(keyLines(text, "host", 2222), [4]);
  assert.deepEqual(keyLines(text, "bad.example.org", 2222), [5]);
  assert.deepEqual(keyLines(text, "2001:db8::1"), [6]);
  assert.deepEqual(keyLines(text, "host", 2223), []);
});

test("markers sort the keys", () => {
  const text = [
    lineOf("*.example.org", one, "@cert-authority "),
    lineOf("*.example.org", two, "@revoked\t"),
    lineOf("a.example.org", three),
  ].join("\n");
  const match = parseKnownHosts(text, "f").lookup("a.example.org");
  assert.deepEqual(lines(match), { keys: [3], authorities: [1], revoked: [2] });
  assert.deepEqual(match.authorities[0]?.key.blob, one.blob);
});

test("comments, blank lines, blanks in front, line ends of Windows, and comments of keys", () => {
  const text = `# a comment\r\n\r\n  \t\n \t${lineOf("host")} my  key\r\n#${lineOf("host")}\n${lineOf("host")}`;
  const known = parseKnownHosts(text, "f");
  assert.deepEqual(lines(known.lookup("host")).keys, [4, 6]);
  assert.equal(known.entries[0]?.comment, "my  key");
  assert.deepEqual(known.warnings, []);
});

test("a broken line is a warning with its number, and the others stand", () => {
  const [type = "", base64 = ""] = formatPublicKey(one.blob).split(" ");
  const broken = [
    "host",
    `host ${type}`,
    `host ${type} ${base64.slice(0, 20)}`,
    `host ${type} ????`,
    `host ssh-rsa ${base64}`,
    `@unknown host ${type} ${base64}`,
    `@revoked ${type} ${base64}`,
    `@ host ${type} ${base64}`,
    `|1|abc|def ${type} ${base64}`,
    `|2|8sP/rHHm7NdxzdyTdFRVQvNcGC0=|gzix583S3ihkqU+aFXpEsxJQ2Oc= ${type} ${base64}`,
    `host 1024 35 1234567890`,
    `host ${fixture("id_ed25519-cert.pub")}`,
  ];
  for (const line of broken) {
    const known = parseKnownHosts(`${lineOf("first")}\n${line.trim()}\n${lineOf("last")}\n`, "the/file");
    assert.equal(known.warnings.length, 1, line);
    assert.deepEqual([known.warnings[0]?.fileName, known.warnings[0]?.line], ["the/file", 2]);
    assert.deepEqual(lines(known.lookup("first")).keys, [1], line);
    assert.deepEqual(lines(known.lookup("last")).keys, [3], line);
  }
});

test("keys of types that are not known here are passed over in silence", () => {
  const text = `host ssh-dss AAAAB3NzaC1kc3M=\nhost ssh-mldsa44-ed25519@openssh.com AAAA\n${lineOf("host")}`;
  const known = parseKnownHosts(text, "f");
  assert.deepEqual(known.warnings, []);
  assert.deepEqual(lines(known.lookup("host")).keys, [3]);
});

function kindOf(text: string, key = one, host = "host", port = 22): HostKeyVerdict["kind"] {
  return parseKnownHosts(text, "f").check(host, port, key, 0).kind;
}

test("a host's key is known, unknown, changed or revoked", () => {
  assert.equal(kindOf(lineOf("host")), "known");
  assert.equal(kindOf(lineOf("other")), "unknown");
  assert.equal(kindOf(""), "unknown");
  assert.equal(kindOf(lineOf("host", two)), "changed");
  assert.equal(kindOf(`${lineOf("host", two)}\n${lineOf("host")}`), "known");
  assert.equal(kindOf(`${lineOf("host")}\n${lineOf("*", one, "@revoked ")}`), "revoked");
  assert.equal(kindOf(`${lineOf("host")}\n${lineOf("*", two, "@revoked ")}`), "known");
  assert.equal(kindOf(lineOf("host", one, "@cert-authority ")), "unknown", "an authority is no host key");
});

test("on another port, the plain name helps but never harms", () => {
  assert.equal(kindOf(lineOf("host"), one, "host", 2222), "known");
  assert.equal(kindOf(lineOf("host", two), one, "host", 2222), "unknown");
  assert.equal(kindOf(lineOf("host", one, "@revoked "), one, "host", 2222), "revoked");
  assert.equal(kindOf(`${lineOf("[host]:2222", two)}\n${lineOf("host")}`, one, "host", 2222), "changed");
  assert.equal(kindOf(lineOf("[host]:2222"), one, "host", 22), "unknown");
});

test("two files, one after the other", () => {
  const both = parseKnownHosts(lineOf("host", two), "a").concat(parseKnownHosts(`x\n${lineOf("host")}`, "b"));
  assert.deepEqual(
    both.lookup("host").keys.map(({ fileName, line }) => `${fileName}:${line}`),
    ["a:1", "b:2"],
  );
  assert.equal(both.warnings[0]?.fileName, "b");
});

test("host certificates are judged by their authority", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const ca = makeKey(folder.at("ca"));
  const host = makeKey(folder.at("host"));
  const path = certify(ca, host, { host: true, principals: ["host"], more: ["-V", "20200101Z:20210101Z"] });
  const certificate: Certificate = decodeCertificate(parsePublicKeyLine(readFileSync(path, "utf8")).key.blob);
  const trusted = `@cert-authority * ${bareKey(ca.publicLine)}`;
  const plain = `host ${bareKey(host.publicLine)}`;
  const good = Date.UTC(2020, 5, 1) / 1000;
  const check = (text: string, name = "host", nowSeconds = good): HostKeyVerdict =>
    parseKnownHosts(text, "f").check(name, 22, certificate, nowSeconds);
  assert.equal(check(trusted).kind, "known");
  assert.equal(check(trusted, "elsewhere").kind, "certificate-refused");
  assert.equal(check(trusted, "host", good * 2).kind, "certificate-refused");
  assert.equal(check(`${trusted}\n${trusted.replace("@cert-authority", "@revoked")}`).kind, "revoked");
  assert.equal(check(`${trusted}\n@revoked * ${bareKey(host.publicLine)}`).kind, "revoked");
  // Without its authority the certificate is as good as its key.
  assert.equal(check("").kind, "unknown");
  assert.equal(check(plain).kind, "known");
  assert.equal(check(lineOf("host")).kind, "changed");
});

test("lines written here are read here and by ssh-keygen", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const cases = [
    { host: "Gate.Example.org" },
    { host: "gate.example.org", port: 2222 },
    { host: "2001:db8::1" },
    { host: "2001:db8::1", port: 2222 },
    { host: "bücher.example" },
  ];
  for (const { host, port = 22 } of cases) {
    for (const hashed of [false, true]) {
      const line = formatKnownHostsLine({ host, port, key: one, hashed });
      assert.equal(line.startsWith("|1|"), hashed);
      const known = parseKnownHosts(line, "f");
      assert.equal(known.check(host, port, one, 0).kind, "known");
      assert.deepEqual(known.lookup(host, port + 1).keys, []);
      writeFileSync(folder.at("known"), `${line}\n`);
      const name = port === 22 ? host.toLowerCase() : `[${host}]:${port}`;
      const found = spawnSync("ssh-keygen", ["-F", name, "-f", folder.at("known")]);
      assert.equal(found.status, 0, `${line} ${found.stderr.toString()}`);
    }
  }
});

test("what ssh-keygen -H hashes is found", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const path = folder.at("known");
  writeFileSync(
    path,
    [
      lineOf("a.example.org,192.0.2.1"),
      lineOf("[b.example.org]:2222", two),
      lineOf("*.example.net", three),
      "",
    ].join("\n"),
  );
  assert.equal(spawnSync("ssh-keygen", ["-H", "-f", path]).status, 0);
  const text = readFileSync(path, "utf8");
  assert.match(text, /^\|1\|/);
  const known = parseKnownHosts(text, path);
  assert.deepEqual(known.warnings, []);
  assert.equal(known.check("a.example.org", 22, one, 0).kind, "known");
  assert.equal(known.check("192.0.2.1", 22, one, 0).kind, "known");
  assert.equal(known.check("b.example.org", 2222, two, 0).kind, "known");
  assert.equal(known.check("x.example.net", 22, three, 0).kind, "known");
  assert.equal(known.check("x.example.org", 22, one, 0).kind, "unknown");
});

test("a salt is never used twice", () => {
  const salts = [1, 2].map(
    () => formatKnownHostsLine({ host: "host", key: one, hashed: true }).split("|")[2],
  );
  assert.notEqual(salts[0], salts[1]);
});

test("a name that would break the line is not written", () => {
  for (const host of [
    "",
    "a b",
    "a,b",
    "a\nb",
    "*",
    "?",
    "!a",
    "|1|x",
    "@revoked",
    "#",
    "[a]",
    "a/b",
    "a\0",
  ]) {
    assert.throws(() => formatKnownHostsLine({ host, key: one }), code("BUG_KEY_HOST_NAME"), host);
  }
});
