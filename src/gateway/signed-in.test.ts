/** Who has signed in at a provider, and which rules take them, by which names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern, silentLog } from "#base";
import type {
  AuditEvent,
  AuthMethod,
  BrowserLogin,
  Identity,
  SignInProvider,
  SpliceRule,
  Target,
  WebAnswer,
} from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { FailureDelays } from "./failure-delays.ts";
import { TargetDesk } from "./target-desk.ts";
import { TargetRouter } from "./target-router.ts";

const fleet: Target = {
  name: "fleet",
  names: [],
  tags: [],
  addresses: [],
  connectTimeoutMs: 1000,
  devices: true,
  tls: false,
};

function providerOf(
  id: string,
  scopes: readonly string[] = [],
  claims: readonly string[] = [],
): SignInProvider {
  const begin = (): Promise<never> => Promise.reject(new Error("not asked for"));
  return { id, title: id, wants: { scopes, claims }, begin };
}

/** Takes these people, each by their own names. */
function signOn(provider: SignInProvider, people: Readonly<Record<string, readonly string[]>>): AuthMethod {
  const browser: BrowserLogin = {
    provider,
    names: ({ subject }) => people[subject] ?? [],
    refusal: ({ subject }, { user = "" }) =>
      people[subject]?.includes(user) === true ? undefined : "is not among them",
  };
  return {
    kind: "oidc",
    browser,
    attempt: async () => ({ kind: "denied", reason: "no" }),
  } as unknown as AuthMethod;
}

const password = {
  kind: "password",
  attempt: async () => ({ kind: "accepted", by: "password" }),
} as unknown as AuthMethod;

function rule(name: string, login: readonly AuthMethod[], more: Partial<SpliceRule> = {}): SpliceRule {
  return { name, match: {}, targets: ["fleet"], login, ...more };
}

function deskOf(...rules: readonly SpliceRule[]): { desk: TargetDesk; audit: AuditEvent[] } {
  const clock = new FakeClock();
  const delays = new FailureDelays({
    clock,
    secret: new Uint8Array(32),
    passwordFloorMs: 0,
    random: () => 0,
  });
  const audit: AuditEvent[] = [];
  const desk = new TargetDesk({
    router: new TargetRouter([fleet], rules),
    arrival: { from: { ip: "10.0.0.1", text: "10.0.0.1:5" } },
    delays,
    clock,
    log: silentLog,
    signal: new AbortController().signal,
    open: () => Promise.reject(new Error("not asked for")),
    audit: (event) => void audit.push(event),
  });
  return { desk, audit };
}

const identityOf = (subject: string, provider = "p"): Identity => ({
  provider,
  subject,
  who: `${subject}@example.com`,
  by: "oidc",
  claims: {},
});
const device = { name: "kiosk7", tags: ["hall1"] };

async function said(desk: TargetDesk, identity: Identity, asked = device): Promise<string> {
  const answer: WebAnswer = await desk.askWeb({ device: asked, identity });
  if (answer.kind === "refused") return answer.proven ? "proven" : "nobody";
  return `${answer.rule} as ${answer.proof?.user ?? "?"} by ${answer.proof?.rules.join() ?? "?"}`;
}

test("the first rule that takes them, with the first name that it takes", async () => {
  const p = providerOf("p");
  const { desk, audit } = deskOf(
    rule("root", [signOn(p, { s1: ["ada", "root"] })], { match: { user: "root" } }),
    rule("hall", [signOn(p, { s1: ["ada"], s2: ["bob"] })], { targets: ["tag:hall1"] }),
    rule("letters", [signOn(p, { s3: ["x9", "carl"] })], { match: { userPattern: new Pattern("[a-z]+") } }),
  );
  assert.equal(await said(desk, identityOf("s1")), "root as root by root");
  assert.equal(await said(desk, identityOf("s2")), "hall as bob by hall");
  assert.equal(await said(desk, identityOf("s3")), "letters as carl by letters");
  // Taken by a rule, but not for this device.
  assert.equal(await said(desk, identityOf("s2"), { name: "kiosk8", tags: [] }), "proven");
  assert.equal(await said(desk, identityOf("s4")), "nobody");
  // Another provider's person of the same name is somebody else.
  assert.equal(await said(desk, identityOf("s1", "q")), "nobody");
  assert.deepEqual(
    audit.map((event) =>
      event.event === "auth" ? [event.outcome, event.user, event.method].join(" ") : event,
    ),
    [
      "accepted root browser",
      "accepted bob browser",
      "accepted carl browser",
      "accepted bob browser",
      "refused  browser",
      "refused  browser",
    ],
  );
});

test("for a device that there is not, nobody is let in, and the same is said", async () => {
  const { desk } = deskOf(rule("all", [signOn(providerOf("p"), { s1: ["ada"] })]));
  const answer = await desk.askWeb({ identity: identityOf("s1") });
  assert.ok(answer.kind === "refused" && answer.proven);
});

test("what was proven once holds for its rule and name alone, as the rules are now", async () => {
  const p = providerOf("p");
  const { desk } = deskOf(rule("all", [signOn(p, { s1: ["ada"] })], { match: { user: "ada" } }));
  const ask = async (user: string, rules: string[]): Promise<string> =>
    (await desk.askWeb({ device, proof: { user, rules } })).kind;
  assert.equal(await ask("ada", ["all"]), "allowed");
  assert.equal(await ask("bob", ["all"]), "refused");
  assert.equal(await ask("ada", ["gone"]), "refused");
});

test("a password does not open a rule for people who sign in, and is not asked for where nothing else is", async () => {
  const { desk } = deskOf(rule("all", [signOn(providerOf("p"), { s1: ["ada"] })]));
  const login = { user: "ada", password: Buffer.from("any") };
  const answer = await desk.askWeb({ device, login });
  assert.ok(answer.kind === "refused" && !answer.proven);
  // Programs that cannot be sent to a provider are asked for nothing.
  assert.deepEqual(await desk.ask({ entry: "http", name: "kiosk7" }), { mode: "refused", wants: [] });
});

test("the ways in: each provider once, asked for all that its rules need", () => {
  const { desk } = deskOf(
    rule("one", [signOn(providerOf("p", ["openid", "email"], ["email"]), {})]),
    rule("two", [password, signOn(providerOf("q"), {})]),
    rule("three", [signOn(providerOf("p", ["openid", "groups"], ["groups"]), {})]),
    rule("elsewhere", [signOn(providerOf("r"), {})], { match: { entries: ["http"] } }),
    rule("certificate", [signOn(providerOf("s"), {})], { match: { clientCertificate: ["CN:ada"] } }),
  );
  const { passwords, providers } = desk.waysToLogIn({});
  assert.equal(passwords, true);
  assert.deepEqual(
    providers.map(({ id, wants }) => [id, ...wants.scopes, ...wants.claims]),
    [["p", "openid", "email", "groups", "email", "groups"], ["q"]],
  );
  const shown = desk.waysToLogIn({ certificate: ["CN:ada"] });
  assert.deepEqual(
    shown.providers.map(({ id }) => id),
    ["p", "q", "s"],
  );
});
