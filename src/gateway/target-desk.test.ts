import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, parseTemplate, Pattern, silentLog } from "#base";
import type { AuthMethod, SpliceRule, Target, TargetQuestion, WebQuestion } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { FailureDelays } from "./failure-delays.ts";
import { TargetDesk } from "./target-desk.ts";
import { TargetRouter } from "./target-router.ts";

function target(name: string): Target {
  return {
    name,
    names: [],
    tags: [],
    addresses: [{ host: parseTemplate(`${name}.lan`), port: parseTemplate("22") }],
    connectTimeoutMs: 1000,
    tls: false,
  };
}

/** A password method that remembers for whom it was asked. */
function passwordOf(right: string, asked: string[]): AuthMethod {
  const method = {
    kind: "password",
    attempt: async (proof: { readonly password: Uint8Array }, { user }: { readonly user: string }) => {
      asked.push(user);
      const matches = Buffer.from(proof.password).toString() === right;
      return matches ? { kind: "accepted", by: "test" } : { kind: "denied", reason: "wrong" };
    },
  };
  return method as unknown as AuthMethod;
}

function deskOf(rules: readonly SpliceRule[]): { desk: TargetDesk; clock: FakeClock } {
  const clock = new FakeClock();
  const delays = new FailureDelays({
    clock,
    secret: new Uint8Array(32),
    passwordFloorMs: 1000,
    random: () => 0,
  });
  const router = new TargetRouter(["web1", "web2", "open"].map(target), rules);
  const arrival = { from: { ip: "10.0.0.1", text: "10.0.0.1:5" }, to: { ip: "10.0.0.2", port: 22 } };
  const { signal } = new AbortController();
  const open = (): Promise<never> => Promise.reject(new Error("not asked for"));
  return { desk: new TargetDesk({ router, arrival, delays, clock, log: silentLog, signal, open }), clock };
}

function question(name: string, login?: string): TargetQuestion {
  const [user = "", password = ""] = login?.split(":") ?? [];
  const shown = login === undefined ? {} : { login: { user, password: Buffer.from(password) } };
  return { entry: "http", name, ...shown };
}

async function said(desk: TargetDesk, clock: FakeClock, asked: TargetQuestion): Promise<string> {
  const answer = desk.ask(asked);
  const state = { settled: false };
  void answer.finally(() => (state.settled = true));
  for (let turn = 0; turn < 50 && !state.settled; turn++)
    await new Promise((resolve) => setImmediate(resolve));
  const late = state.settled ? "" : " late";
  clock.advance(10_000);
  const found = await answer;
  return found.mode === "refused" ? `wants ${found.wants.join()}${late}` : `${found.rule}${late}`;
}

test("a password that is right opens its own rules, whatever the target's name was guessed to be", async () => {
  const asked: string[] = [];
  const rules: SpliceRule[] = [
    { name: "ada", match: { user: "ada" }, targets: ["web1"], login: [passwordOf("a", asked)] },
    {
      name: "crew",
      match: { userPattern: new Pattern("c.*") },
      targets: ["web2"],
      login: [passwordOf("c", asked)],
    },
    { name: "open", match: {}, targets: ["open"] },
  ];
  const { desk, clock } = deskOf(rules);
  assert.equal(await said(desk, clock, question("web1", "ada:a")), "ada");
  assert.equal(await said(desk, clock, question("web2", "carl:c")), "crew");
  assert.equal(await said(desk, clock, question("open")), "open");
  assert.deepEqual(asked, ["ada", "carl"]);
  // Right, and not enough: nothing more is asked for.
  for (const name of ["web2", "nobody"])
    assert.equal(await said(desk, clock, question(name, "ada:a")), "wants ");
  // None, or a wrong one, or a name that nobody knows: the same for every target.
  for (const name of ["web1", "web2", "nobody"]) {
    assert.equal(await said(desk, clock, question(name)), "wants login");
    for (const login of ["ada:c", "ada:", ":a", "zoe:a", `${"x".repeat(300)}:a`])
      assert.equal(await said(desk, clock, question(name, login)), "wants login late", login);
  }
});

test("for a name that no rule knows, a rule's password is compared all the same", async () => {
  const asked: string[] = [];
  const { desk, clock } = deskOf([
    { name: "ada", match: { user: "ada" }, targets: ["web1"], login: [passwordOf("a", asked)] },
  ]);
  assert.equal(await said(desk, clock, question("web1", "zoe:a")), "wants login late");
  assert.deepEqual(asked, ["zoe"]);
});

test("who asks for nothing that needs a password is not kept waiting for one", async () => {
  const asked: string[] = [];
  const { desk, clock } = deskOf([{ name: "open", match: {}, targets: ["open"] }]);
  assert.equal(await said(desk, clock, question("web1", "zoe:a")), "wants ");
  assert.equal(await said(desk, clock, question("open", "zoe:a")), "open");
  assert.deepEqual(asked, []);
});

/** Rules for pages of devices, with a target that stands for all of them. */
function webDeskOf(
  rules: readonly SpliceRule[],
  targets: readonly Target[],
): { desk: TargetDesk; clock: FakeClock } {
  const clock = new FakeClock();
  const delays = new FailureDelays({
    clock,
    secret: new Uint8Array(32),
    passwordFloorMs: 1000,
    random: () => 0,
  });
  const router = new TargetRouter(targets, rules);
  const arrival = { from: { ip: "10.0.0.1", text: "10.0.0.1:5" } };
  const { signal } = new AbortController();
  const open = (): Promise<never> => Promise.reject(new Error("not asked for"));
  return { desk: new TargetDesk({ router, arrival, delays, clock, log: silentLog, signal, open }), clock };
}

const fleet: Target = { ...target("fleet"), addresses: [], devices: true, tags: ["all"] };
const kiosk = { name: "kiosk7", tags: ["hall1"] };

async function webSaid(desk: TargetDesk, clock: FakeClock, asked: WebQuestion): Promise<string> {
  const answer = desk.askWeb(asked);
  const state = { settled: false };
  void answer.finally(() => (state.settled = true));
  for (let turn = 0; turn < 50 && !state.settled; turn++)
    await new Promise((resolve) => setImmediate(resolve));
  const late = state.settled ? "" : " late";
  clock.advance(10_000);
  const found = await answer;
  if (found.kind === "refused") return `${found.proven ? "proven, " : ""}wants ${found.wants.join()}${late}`;
  return `${found.rule} ${found.proof === undefined ? "without proof" : found.proof.rules.join()}${late}`;
}

const login = (user: string, password: string): Pick<WebQuestion, "login"> => ({
  login: { user, password: Buffer.from(password) },
});

test("a device's page: rules that ask for a proof, over the tags of the device itself", async () => {
  const asked: string[] = [];
  const rules: SpliceRule[] = [
    { name: "everybody", match: { from: [new Cidr("10.0.0.0/8")] }, targets: ["*"] },
    { name: "hall", match: { user: "ada" }, targets: ["tag:hall1"], login: [passwordOf("a", asked)] },
    { name: "all", match: { user: "root" }, targets: ["fleet"], login: [passwordOf("r", asked)] },
    {
      name: "ssh",
      match: { user: "sam", entries: ["http"] },
      targets: ["*"],
      login: [passwordOf("s", asked)],
    },
    { name: "crew", match: { clientCertificate: ["CN:crew-*"] }, targets: ["tag:all"] },
  ];
  const { desk, clock } = webDeskOf(rules, [target("web1"), fleet]);
  const wants = "wants login,certificate";
  assert.equal(await webSaid(desk, clock, { device: kiosk }), wants);
  assert.equal(await webSaid(desk, clock, { device: kiosk, ...login("ada", "a") }), "hall hall");
  assert.equal(await webSaid(desk, clock, { device: kiosk, ...login("root", "r") }), "all all");
  assert.equal(await webSaid(desk, clock, { device: kiosk, ...login("ada", "x") }), `${wants} late`);
  assert.equal(await webSaid(desk, clock, { device: kiosk, ...login("sam", "s") }), `${wants} late`);
  assert.equal(
    await webSaid(desk, clock, { device: kiosk, certificate: ["CN:crew-1"] }),
    "crew without proof",
  );
  assert.equal(await webSaid(desk, clock, { device: kiosk, certificate: ["CN:eve"] }), "wants login");
  // Another device; and one that nobody may see: right or wrong, the answer is the same but for whose password is right.
  for (const device of [{ name: "kiosk8", tags: [] }, undefined]) {
    const shown = device === undefined ? {} : { device };
    assert.equal(await webSaid(desk, clock, shown), wants);
    assert.equal(await webSaid(desk, clock, { ...shown, ...login("ada", "a") }), `proven, ${wants}`);
    assert.equal(await webSaid(desk, clock, { ...shown, ...login("ada", "x") }), `${wants} late`);
  }
});

test("what an earlier login has proven holds as long as its rule does", async () => {
  const rule = { match: { user: "ada" }, targets: ["fleet"], login: [passwordOf("a", [])] };
  const proof = { user: "ada", rules: ["hall"] };
  const { desk, clock } = webDeskOf([{ name: "hall", ...rule }], [fleet]);
  assert.equal(await webSaid(desk, clock, { device: kiosk, proof }), "hall hall");
  assert.equal(await webSaid(desk, clock, { proof }), "proven, wants login");
  const changed: readonly SpliceRule[] = [
    { name: "other", ...rule },
    { name: "hall", ...rule, match: { user: "bob" } },
    { name: "hall", ...rule, match: { user: "ada", entries: ["http"] } },
    { name: "hall", ...rule, match: { user: "ada", notAfterMs: 1 } },
  ];
  for (const each of changed) {
    const { desk: later, clock: now } = webDeskOf([each], [fleet]);
    assert.match(await webSaid(later, now, { device: kiosk, proof }), /wants/);
  }
});
