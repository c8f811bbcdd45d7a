import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type AuthorizedKey,
  type Certificate,
  checkAuthorizedKey,
  decodeCertificate,
  defaultKeyOptions,
  formatPublicKey,
  generatePrivateKey,
  isForKey,
  type KeyBearer,
  type KeyOptions,
  type LineWarning,
  mayListen,
  mayOpen,
  parseAuthorizedKeys,
  parseKeyOptions,
  parsePublicKeyLine,
  parseTimestamp,
} from "#ssh/keys";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, certify, makeKey } from "#test/support/test-keys";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const { publicKey } = generatePrivateKey("ssh-ed25519");
const other = generatePrivateKey("ssh-ed25519").publicKey;
const keyText = formatPublicKey(publicKey.blob);

function parse(text: string): { keys: AuthorizedKey[]; warnings: LineWarning[] } {
  const warnings: LineWarning[] = [];
  const keys = parseAuthorizedKeys(text, "keys", (warning) => warnings.push(warning));
  return { keys, warnings };
}

function only(text: string): AuthorizedKey {
  const { keys, warnings } = parse(text);
  assert.deepEqual(warnings, []);
  const [key] = keys;
  assert.ok(key !== undefined && keys.length === 1);
  return key;
}

function options(text: string): KeyOptions {
  const result = parseKeyOptions(text);
  assert.ok(result.options !== undefined, `${text}: ${result.reason}`);
  return result.options;
}

test("a plain line", () => {
  const key = only(`${keyText} me@home, with  blanks`);
  assert.deepEqual(key.key.blob, publicKey.blob);
  assert.equal(key.comment, "me@home, with  blanks");
  assert.deepEqual(key.options, defaultKeyOptions);
  assert.deepEqual([key.fileName, key.line], ["keys", 1]);
});

test("the examples of sshd(8) mean what it says", () => {
  const text = [
    "# Comments are allowed at start of line. Blank lines are allowed.",
    "",
    `${keyText} plain key`,
    `restrict,command="dump /home" ${keyText} forced command`,
    `restrict,permitopen="192.0.2.1:80",permitopen="192.0.2.2:25" ${keyText} fwd`,
    `permitlisten="localhost:8080",permitopen="localhost:25000" ${keyText} ports`,
    `tunnel="0",command="sh /etc/netstart tun0" ${keyText} tunnel`,
    `restrict,pty,command="nethack" ${keyText} game`,
    `no-touch-required ${keyText} no touch`,
    `verify-required ${keyText} PIN`,
    `cert-authority,no-touch-required,principals="user_a" ${keyText} CA`,
  ].join("\n");
  const { keys, warnings } = parse(text);
  assert.deepEqual(warnings, []);
  const byComment = new Map(keys.map((key) => [key.comment, key.options]));
  const restricted = {
    ...defaultKeyOptions,
    restricted: true,
    agentForwarding: false,
    portForwarding: false,
    pty: false,
    userRc: false,
    x11Forwarding: false,
  };
  assert.deepEqual(byComment.get("plain key"), defaultKeyOptions);
  assert.deepEqual(byComment.get("forced command"), { ...restricted, command: "dump /home" });
  assert.deepEqual(byComment.get("fwd"), {
    ...restricted,
    permitOpen: [
      { host: "192.0.2.1", port: 80 },
      { host: "192.0.2.2", port: 25 },
    ],
  });
  assert.deepEqual(byComment.get("ports"), {
    ...defaultKeyOptions,
    permitListen: [{ host: "localhost", port: 8080 }],
    permitOpen: [{ host: "localhost", port: 25000 }],
  });
  assert.deepEqual(byComment.get("tunnel"), {
    ...defaultKeyOptions,
    tunnel: 0,
    command: "sh /etc/netstart tun0",
  });
  assert.deepEqual(byComment.get("game"), { ...restricted, pty: true, command: "nethack" });
  assert.deepEqual(byComment.get("no touch"), { ...defaultKeyOptions, touchRequired: false });
  assert.deepEqual(byComment.get("PIN"), { ...defaultKeyOptions, verifyRequired: true });
  assert.deepEqual(byComment.get("CA"), {
    ...defaultKeyOptions,
    certAuthority: true,
    touchRequired: false,
    principals: ["user_a"],
  });
});

test("flags have two forms, are read in any case, and the later one counts", () => {
  const off = options("no-agent-forwarding,no-port-forwarding,no-pty,no-user-rc,no-X11-forwarding");
  assert.deepEqual(
    [off.agentForwarding, off.portForwarding, off.pty, off.userRc, off.x11Forwarding],
    [false, false, false, false, false],
  );
  const on = options("RESTRICT,agent-forwarding,Port-Forwarding,PTY,user-rc,X11-FORWARDING");
  assert.deepEqual(
    [on.agentForwarding, on.portForwarding, on.pty, on.userRc, on.x11Forwarding, on.restricted],
    [true, true, true, true, true, true],
  );
  assert.equal(options("pty,restrict").pty, false);
  assert.equal(options("no-pty,pty").pty, true);
  assert.equal(options("verify-required,no-verify-required").verifyRequired, false);
  assert.equal(options("no-touch-required,touch-required").touchRequired, true);
});

test("quoted values: blanks, commas and quotes belong to them", () => {
  const key = only(`command="echo \\"a, b\\" \\n \\\\x",environment="A=x y=z",pty ${keyText} end`);
  assert.equal(key.options.command, 'echo "a, b" \\n \\\\x');
  assert.deepEqual([...key.options.environment], [["A", "x y=z"]]);
  assert.equal(key.comment, "end");
  assert.equal(options('command=""').command, "");
  assert.deepEqual(
    [...options('environment="A=1",environment="A=2",environment="B_2="').environment],
    [
      ["A", "1"],
      ["B_2", ""],
    ],
  );
});

test("hosts and ports that may be opened and listened at", () => {
  const { permitOpen, permitListen } = options(
    'permitopen="[2001:db8::1]:443",permitopen="host:*",permitopen="*:22",permitlisten="8080",permitlisten="*.lan:*"',
  );
  assert.deepEqual(permitOpen, [
    { host: "2001:db8::1", port: 443 },
    { host: "host", port: "any" },
    { host: "*", port: 22 },
  ]);
  assert.deepEqual(permitListen, [
    { host: "*", port: 8080 },
    { host: "*.lan", port: "any" },
  ]);
  assert.ok(
    mayOpen(permitOpen, "2001:db8::1", 443) && mayOpen(permitOpen, "host", 1) && mayOpen(permitOpen, "x", 22),
  );
  assert.ok(!mayOpen(permitOpen, "x", 23) && !mayOpen(permitOpen, "HOST", 1));
  assert.ok(mayListen(permitListen, "", 8080) && mayListen(permitListen, "A.lan", 5));
  assert.ok(!mayListen(permitListen, "localhost", 8081));
  assert.ok(mayOpen(undefined, "any", 1) && mayListen(undefined, "any", 1));
  assert.ok(!mayOpen(options('permitopen="*.lan:1"').permitOpen, "a.lan", 1), "no patterns but the star");
});

test("one unknown or malformed option makes the line invalid", () => {
  const bad = [
    "unknown",
    "no-restrict",
    "no-cert-authority",
    "pty,unknown",
    "ptyx",
    'unknown="x"',
    'pty="x"',
    "command",
    "command=",
    "command=ls",
    'command="ls',
    'command="a",command="b"',
    'from=""',
    'from="10.0.0.1/8"',
    'from="a",from="b"',
    'principals="a",principals="b"',
    'expiry-time="soon"',
    'expiry-time="20250230"',
    'expiry-time="19700101Z"',
    'environment="1 2"',
    'environment="A B=c"',
    'environment="=c"',
    'permitopen="host"',
    'permitopen="host:0"',
    'permitopen="host:65536"',
    'permitopen="host:http"',
    'permitopen="80"',
    'permitopen="[::1"',
    'permitlisten="host:"',
    'tunnel="x"',
    'tunnel="-1"',
    'tunnel="2147483646"',
    "pty,",
    ",pty",
    "pty,,pty",
    'command="a"b',
    "=",
    '"',
  ];
  for (const text of bad) {
    assert.ok(parseKeyOptions(text).reason !== undefined, text);
    const { keys, warnings } = parse(`${keyText} first\n${text} ${keyText}\n${keyText} last`);
    assert.deepEqual(
      keys.map((key) => key.comment),
      ["first", "last"],
      text,
    );
    assert.deepEqual(
      warnings.map((warning) => [warning.fileName, warning.line]),
      [["keys", 2]],
      text,
    );
  }
  assert.deepEqual(parseKeyOptions("").options, defaultKeyOptions);
});

test("lines without a usable key are warnings", () => {
  const [type = "", base64 = ""] = keyText.split(" ");
  const lines = [
    type,
    `${type} ${base64.slice(0, 9)}`,
    `ssh-dss ${base64}`,
    `pty ssh-dss ${base64}`,
    "pty",
    base64,
    `command="x ${keyText}`,
    fixture("id_ed25519-cert.pub").trim(),
  ];
  const { keys, warnings } = parse(lines.join("\r\n"));
  assert.deepEqual(keys, []);
  assert.deepEqual(
    warnings.map((warning) => warning.line),
    lines.map((_, index) => index + 1),
  );
});

function many(count: number, make: (n: number) => string): string {
  return Array.from({ length: count }, (_, n) => make(n)).join(",");
}

test("limits: environment variables and permits", () => {
  assert.ok(parseKeyOptions(many(1024, (n) => `environment="V${n}="`)).options !== undefined);
  assert.ok(parseKeyOptions(many(1025, (n) => `environment="V${n}="`)).reason !== undefined);
  assert.ok(parseKeyOptions(many(4096, (n) => `permitopen="h:${n + 1}"`)).options !== undefined);
  assert.ok(parseKeyOptions(many(4097, (n) => `permitopen="h:${n + 1}"`)).reason !== undefined);
});

test("times of expiry-time", () => {
  assert.equal(parseTimestamp("20300102Z"), Date.UTC(2030, 0, 2) / 1000);
  assert.equal(parseTimestamp("20300102utc"), Date.UTC(2030, 0, 2) / 1000);
  assert.equal(parseTimestamp("203001021530Z"), Date.UTC(2030, 0, 2, 15, 30) / 1000);
  assert.equal(parseTimestamp("20300102153045z"), Date.UTC(2030, 0, 2, 15, 30, 45) / 1000);
  assert.equal(parseTimestamp("20300102"), new Date(2030, 0, 2).getTime() / 1000);
  assert.equal(parseTimestamp("20300102153045"), new Date(2030, 0, 2, 15, 30, 45).getTime() / 1000);
  for (const bad of [
    "",
    "2030",
    "20301302Z",
    "20300132",
    "20300229Z",
    "2030010224Z",
    "203001022400",
    "203001021560",
    "2030-01-02",
  ]) {
    assert.equal(parseTimestamp(bad), undefined, bad);
  }
  // The earliest of several counts.
  assert.equal(
    options('expiry-time="20310101Z",expiry-time="20300101Z"').expiresAtSeconds,
    Date.UTC(2030, 0, 1) / 1000,
  );
});

const bearer: KeyBearer = { user: "alice", address: "10.0.0.1", nowSeconds: 1_700_000_000 };

function check(line: string, changes: Partial<KeyBearer> = {}): string | undefined {
  return checkAuthorizedKey(only(line), publicKey, { ...bearer, ...changes });
}

test("a line lets its key in, from the right place and in time", () => {
  assert.equal(check(keyText), undefined);
  assert.match(check(formatPublicKey(other.blob)) ?? "", /another key/);
  assert.match(check(`cert-authority ${keyText}`) ?? "", /another key/);
  assert.match(check(`principals="alice" ${keyText}`) ?? "", /without cert-authority/);
  const from = `from="10.0.0.0/8,!10.6.6.6,*.example.org" ${keyText}`;
  assert.equal(check(from), undefined);
  assert.match(check(from, { address: "10.6.6.6" }) ?? "", /this address/);
  assert.match(check(from, { address: "192.0.2.1" }) ?? "", /this address/);
  assert.equal(check(from, { address: "192.0.2.1", hostName: "a.example.org" }), undefined);
  const until = `expiry-time="20300101Z" ${keyText}`;
  const end = Date.UTC(2030, 0, 1) / 1000;
  assert.equal(check(until, { nowSeconds: end }), undefined);
  assert.match(check(until, { nowSeconds: end + 1 }) ?? "", /expired/);
  assert.ok(isForKey(only(keyText), publicKey) && !isForKey(only(keyText), other));
});

test("a line with cert-authority lets certificates in", { skip: missing("ssh") }, async () => {
  await using folder = await tempDir();
  const ca = makeKey(folder.at("ca"));
  const files = makeKey(folder.at("key"));
  const path = certify(ca, files, {
    principals: ["alice", "ops"],
    more: ["-O", "source-address=10.0.0.0/8"],
  });
  const certificate: Certificate = decodeCertificate(parsePublicKeyLine(readFileSync(path, "utf8")).key.blob);
  const judge = (line: string, changes: Partial<KeyBearer> = {}): string | undefined =>
    checkAuthorizedKey(only(line), certificate, { ...bearer, ...changes });
  const trusted = `cert-authority ${bareKey(ca.publicLine)}`;
  assert.equal(judge(trusted), undefined);
  assert.match(judge(trusted, { user: "bob" }) ?? "", /principals/);
  assert.match(judge(trusted, { address: "11.0.0.1" }) ?? "", /this address/);
  assert.equal(
    judge(`cert-authority,principals="ops,root" ${bareKey(ca.publicLine)}`, { user: "bob" }),
    undefined,
  );
  assert.match(judge(`cert-authority,principals="root" ${bareKey(ca.publicLine)}`) ?? "", /principals/);
  assert.match(judge(`cert-authority,principals="" ${bareKey(ca.publicLine)}`) ?? "", /principals/);
  assert.match(judge(bareKey(ca.publicLine)) ?? "", /another key/);
  assert.match(
    judge(bareKey(files.publicLine)) ?? "",
    /another key/,
    "the plain key does not let its certificate in",
  );
});
