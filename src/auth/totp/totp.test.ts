import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate, Secret, silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, TotpSecret, User, Verdict } from "#contract";
import { noUsers, updatesIn, usersPort } from "#test/support/auth-ports";
import { base32, codeAt, otpauthAddress, stepOf } from "./code.ts";
import { freeWrongCodes, SpentCodes } from "./spent-codes.ts";
import { totp } from "./totp.ts";

/** The seeds of RFC 6238, appendix B (as its errata give them: as long as each hash). */
const digits20 = "12345678901234567890";
const seeds = {
  sha1: digits20,
  sha256: `${digits20}123456789012`,
  sha512: `${digits20.repeat(3)}1234`,
} as const;

const vectors: readonly (readonly [number, keyof typeof seeds, string])[] = [
  [59, "sha1", "94287082"],
  [59, "sha256", "46119246"],
  [59, "sha512", "90693936"],
  [1111111109, "sha1", "07081804"],
  [1111111109, "sha256", "68084774"],
  [1111111109, "sha512", "25091201"],
  [1111111111, "sha1", "14050471"],
  [1234567890, "sha256", "91819424"],
  [2000000000, "sha512", "38618901"],
  [20000000000, "sha1", "65353130"],
  [20000000000, "sha256", "77737706"],
  [20000000000, "sha512", "47863826"],
];

function secretOf(algorithm: keyof typeof seeds, digits: 6 | 8 = 8): TotpSecret {
  return { secret: new Secret(seeds[algorithm]), digits, algorithm };
}

test("codes are those of RFC 6238, appendix B", () => {
  for (const [seconds, algorithm, code] of vectors) {
    assert.equal(codeAt(secretOf(algorithm), seconds * 1000), code);
    assert.equal(stepOf(code, secretOf(algorithm), seconds * 1000), Math.floor(seconds / 30));
    assert.equal(codeAt(secretOf(algorithm, 6), seconds * 1000), code.slice(2), "the last six digits");
  }
});

test("a code is taken one period before and after its own, and no further", () => {
  const totpSecret = secretOf("sha1", 6);
  const at = 1_700_000_010_000;
  const code = codeAt(totpSecret, at);
  const step = Math.floor(at / 30_000);
  for (const [offset, expected] of [
    [-60_000, undefined],
    [-30_000, step],
    [0, step],
    [30_000, step],
    [60_000, undefined],
  ] as const)
    assert.equal(stepOf(code, totpSecret, at + offset), expected, `${offset}`);
});

test("what is no code of the right form is wrong, whatever it holds", () => {
  const totpSecret = secretOf("sha1", 6);
  const code = codeAt(totpSecret, 0);
  assert.equal(stepOf(`${code.slice(0, 3)} ${code.slice(3)}`, totpSecret, 0), 0, "as apps show it");
  for (const wrong of ["", code.slice(1), `${code}0`, `${code}\n`, "١٢٣٤٥٦", "-12345", "12345a"])
    assert.equal(stepOf(wrong, totpSecret, 0), undefined, JSON.stringify(wrong));
});

test("the address for apps names everything, and holds the same secret", () => {
  const address = new URL(otpauthAddress("ada", "Postern gate", secretOf("sha256")));
  assert.equal(address.protocol, "otpauth:");
  assert.equal(address.host, "totp");
  assert.equal(decodeURIComponent(address.pathname), "/Postern gate:ada");
  const { searchParams: query } = address;
  assert.deepEqual(
    ["issuer", "algorithm", "digits", "period"].map((key) => query.get(key)),
    ["Postern gate", "SHA256", "8", "30"],
  );
  assert.equal(query.get("secret"), base32(secretOf("sha256")));
});

const secret = new Secret(digits20);
const step = 56_666_667;
const now = step * 30_000;

test("a code is spent once; an older one is spent with it; state outlives the process", async () => {
  const files = new Map<string, string>();
  const spent = (): SpentCodes => new SpentCodes(updatesIn(files), "/state");
  assert.equal((await spent().spend("ada", secret, step, now)).kind, "accepted");
  assert.equal((await spent().spend("ada", secret, step, now)).kind, "replayed");
  assert.equal((await spent().spend("ada", secret, step - 1, now)).kind, "replayed");
  assert.equal((await spent().spend("ada", secret, step + 1, now)).kind, "accepted");
  assert.equal((await spent().spend("bob", secret, step, now)).kind, "accepted", "each has their own");
  assert.ok([...files.keys()].every((path) => /^\/state\/totp\/[0-9a-f]{32}\.json$/.test(path)));
  assert.ok(![...files.values()].join("").includes(digits20));
  // With a new secret, the periods of the old one mean nothing.
  assert.equal((await spent().spend("ada", new Secret("another secret, new"), step, now)).kind, "accepted");
});

test("wrong codes in a row make their user wait, twice as long each time, an hour at most; a right one ends it", async () => {
  const spent = new SpentCodes(updatesIn(new Map()), "/state");
  let at = now;
  for (let wrong = 0; wrong < freeWrongCodes; wrong += 1)
    assert.equal((await spent.spend("ada", secret, undefined, at)).kind, "wrong");
  for (const wait of [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
    const early = await spent.spend("ada", secret, step + 5, at + wait * 1000 - 1);
    assert.deepEqual(early, { kind: "waiting", seconds: 1 }, "even a right one");
    at += wait * 1000;
    assert.equal((await spent.spend("ada", secret, undefined, at)).kind, "wrong");
  }
  await spent.forgive("ada");
  assert.equal((await spent.spend("ada", secret, step, at)).kind, "accepted");
  assert.equal((await spent.spend("ada", secret, undefined, at)).kind, "wrong");
  assert.equal((await spent.spend("ada", secret, step + 1, at)).kind, "accepted", "counted anew");
});

test("a clock that was set back does not lock anybody out", async () => {
  const spent = new SpentCodes(updatesIn(new Map()), "/state");
  for (let wrong = 0; wrong < freeWrongCodes; wrong += 1) await spent.spend("ada", secret, undefined, now);
  assert.equal((await spent.spend("ada", secret, 7, now - 86_400_000)).kind, "accepted");
});

test("to forgive who never tried changes nothing", async () => {
  const files = new Map<string, string>();
  await new SpentCodes(updatesIn(files), "/state").forgive("ada");
  assert.equal(files.size, 0);
});

const ada: User = { name: "ada", passwords: [], keys: [], groups: ["ops"], totp: secretOf("sha1", 6) };
const bare: User = { name: "bare", passwords: [], keys: [], groups: [] };

interface Given {
  readonly name?: string;
  readonly groups?: readonly string[];
  readonly answer?: string;
  readonly user?: string;
  readonly pretended?: boolean;
  readonly ports?: Partial<AuthPorts>;
}

async function attempt({
  name = "{user}",
  groups,
  answer = codeAt(secretOf("sha1", 6), systemClock.now()),
  user = "ada",
  pretended = false,
  ports = {},
}: Given): Promise<Verdict & { readonly asked: readonly string[] }> {
  const all: AuthPorts = {
    clock: systemClock,
    log: silentLog,
    files: { read: async () => undefined },
    ...noUsers,
    users: usersPort(ada, bare),
    updates: updatesIn(new Map()),
    ...ports,
  };
  const reference = { name: parseTemplate(name), ...(groups === undefined ? {} : { groups }) };
  await using method = await totp.create({ kind: "totp", users: reference }, all);
  const context: AuthContext = {
    user,
    captures: { user },
    from: { text: "unix" },
    nowMs: 0,
    signal: AbortSignal.timeout(60_000),
    pretended,
  };
  const asked: string[] = [];
  const verdict = await method.attempt(
    {
      method: "keyboard-interactive",
      ask: async ({ prompts }) => {
        asked.push(...prompts.map(({ text, echo }) => `${text}${echo}`));
        return [Buffer.from(answer)];
      },
    },
    context,
  );
  return { ...verdict, asked };
}

test("everybody is asked the same; only who has the secret gets in", async () => {
  const cases: readonly (readonly [string, Given, string])[] = [
    ["right", {}, "accepted"],
    ["in the group", { groups: ["ops"] }, "accepted"],
    ["in another group", { groups: ["admins"] }, "denied"],
    ["wrong", { answer: "000000" }, "denied"],
    ["another's name", { user: "bob" }, "denied"],
    ["no secret", { user: "bare" }, "denied"],
    ["a capture without value", { name: "{login}" }, "denied"],
    ["only pretended", { pretended: true }, "denied"],
  ];
  for (const [about, given, kind] of cases) {
    const verdict = await attempt(given);
    assert.equal(verdict.kind, kind, about);
    assert.deepEqual(verdict.asked, ["Verification code: false"], about);
  }
});

test("what is only pretended is not remembered; without memory nobody gets in", async () => {
  const files = new Map<string, string>();
  await attempt({ pretended: true, answer: "000000", ports: { updates: updatesIn(files) } });
  assert.equal(files.size, 0);
  const broken = await attempt({ ports: { updates: { update: async (_path, change) => void change("{") } } });
  assert.ok(broken.kind === "denied" && /OPERATOR_CODE_STATE_INVALID/.test(broken.reason), broken.kind);
});

test("a password or a key is no code", async () => {
  const ports = { clock: systemClock, log: silentLog, files: { read: async () => undefined }, ...noUsers };
  await using method = await totp.create({ kind: "totp", users: { name: parseTemplate("{user}") } }, ports);
  const context = {
    user: "ada",
    captures: {},
    from: { text: "" },
    nowMs: 0,
    signal: AbortSignal.any([]),
    pretended: false,
  };
  const verdict = await method.attempt({ method: "password", password: Buffer.from("123456") }, context);
  assert.equal(verdict.kind, "denied");
});
