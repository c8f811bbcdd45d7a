import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, parseTemplate, Pattern, Place } from "#base";
import type { AuthMethod, SpliceRule, Target, TargetQuery } from "#contract";
import { plainName, TargetRouter } from "./target-router.ts";

function target(name: string, more: Partial<Target> = {}, host = `${name}.lan`, port = "22"): Target {
  const addresses = [{ host: parseTemplate(host), port: parseTemplate(port) }];
  return {
    name,
    names: [],
    tags: [],
    addresses,
    connectTimeoutMs: 1000,
    tls: false,
    ...more,
  };
}

const targets: readonly Target[] = [
  target("web1", { names: ["web1.gate.example"], tags: ["prod"] }, "10.0.0.1", "2222"),
  target("db1", { tags: ["prod", "db"] }),
  target("lab", { pattern: new Pattern("(?<host>[a-z0-9-]+)\\.lab\\.example") }, "{host}.lab.lan"),
  target("any", { pattern: new Pattern(".*\\.any") }, "{0}"),
];

function rule(name: string, selectors: readonly string[], match: SpliceRule["match"] = {}): SpliceRule {
  return { name, match, targets: selectors };
}

function query(name: string, more: Partial<TargetQuery> = {}): TargetQuery {
  return { entry: "version", name, from: { ip: "10.1.2.3", text: "10.1.2.3:5" }, nowMs: 0, ...more };
}

function reached(router: TargetRouter, asked: TargetQuery): string | undefined {
  const route = router.route(asked);
  // The explanation may never say anything else than what is done.
  const { rule: _, ...explained } = router.explain(asked).route ?? { rule: "" };
  const { rule: __, ...found } = route ?? { rule: "" };
  assert.deepEqual(explained, found);
  if (route === undefined) return undefined;
  return `${route.rule}: ${route.addresses.map(({ host, port }) => `${host}:${port}`).join()}`;
}

test("names and other names, in any case, with or without the last dot", () => {
  const router = new TargetRouter(targets, [rule("all", ["*"])]);
  for (const name of ["web1", "WEB1", "web1.", "web1.gate.example", "Web1.Gate.Example."])
    assert.equal(reached(router, query(name)), "all: 10.0.0.1:2222", name);
  for (const name of ["web", "web11", "", ".", "web1..", "web1\n", "web1 ", "we\u0131b1", "x".repeat(254)])
    assert.equal(reached(router, query(name)), undefined, name);
});

test("a zone of IPv6 does not pass for the end of a name", () => {
  const router = new TargetRouter(targets, [rule("all", ["*"])]);
  assert.equal(reached(router, query("web.any")), "all: web.any:22");
  assert.equal(reached(router, query("::1%x.any")), undefined);
});

test("a pattern stands for the names that match as a whole, and for its own name only if they do", () => {
  const router = new TargetRouter(targets, [rule("all", ["*"])]);
  assert.equal(reached(router, query("a-1.lab.example")), "all: a-1.lab.lan:22");
  assert.equal(reached(router, query("A-1.LAB.example")), "all: a-1.lab.lan:22");
  for (const name of ["lab", "a.b.lab.example", "a.lab.example.org", "xa.lab.example:22"])
    assert.equal(reached(router, query(name)), undefined, name);
  assert.equal(reached(router, query("x.any")), "all: x.any:22");
  assert.equal(reached(router, query("0x7f.1.any")), "all: 0x7f.1.any:22");
  for (const name of ["-x.any", "a..any", "a:b.any"])
    assert.equal(reached(router, query(name)), undefined, name);
});

test("nothing is allowed but what a rule allows, and the first that does decides", () => {
  const none = new TargetRouter(targets, []);
  assert.equal(reached(none, query("web1")), undefined);
  const router = new TargetRouter(targets, [
    rule("office", ["web1"], { from: [new Cidr("10.0.0.0/8")] }),
    rule("tls", ["tag:prod"], { entries: ["tls", "jump"] }),
    rule("later", ["db1"], { notBeforeMs: 1000, notAfterMs: 2000 }),
  ]);
  assert.equal(reached(router, query("web1")), "office: 10.0.0.1:2222");
  const away = { from: { ip: "11.0.0.1", text: "11.0.0.1:5" } };
  assert.equal(reached(router, query("web1", away)), undefined);
  assert.equal(reached(router, query("web1", { from: { text: "unix" } })), undefined);
  assert.equal(reached(router, query("web1", { ...away, entry: "tls" })), "tls: 10.0.0.1:2222");
  const times = [999, 1000, 1999, 2000].map((nowMs) => reached(router, query("db1", { nowMs })));
  assert.deepEqual(times, [undefined, "later: db1.lan:22", "later: db1.lan:22", undefined]);
  assert.equal(reached(router, query("x.any")), undefined);
});

test("a port that is said must be SSH's or one that the target has", () => {
  const router = new TargetRouter(targets, [rule("all", ["*"])]);
  const ports = [undefined, 22, 2222, 23, 0, 80].map(
    (port) => reached(router, query("web1", port === undefined ? {} : { port })) !== undefined,
  );
  assert.deepEqual(ports, [true, true, true, false, false, false]);
});

test("who has been let in already is held to the targets of that rule", () => {
  const router = new TargetRouter(targets, [rule("all", ["*"])]);
  const within = (name: string): string | undefined =>
    router.routeWithin({ name: "jump", targets: ["tag:db"] }, query(name))?.target;
  assert.deepEqual([within("db1"), within("web1"), within("none")], ["db1", undefined, undefined]);
});

test("an explanation says why each rule does not hold", () => {
  const router = new TargetRouter(targets, [
    rule("one", ["db1"]),
    rule("two", ["web1"], { entries: ["tls"] }),
    rule("three", ["web1"], { from: [new Cidr("192.0.2.0/24")] }),
    rule("four", ["web1"]),
    rule("five", ["*"]),
  ]);
  const { target: found, rules } = router.explain(query("web1"));
  assert.equal(found, "web1");
  assert.deepEqual(
    rules.map(({ outcome, reason }) => `${outcome}: ${reason}`),
    [
      'skipped: it does not list the target "web1"',
      "skipped: it takes tls, not version",
      "skipped: 10.1.2.3:5 is not in 192.0.2.0/24",
      'matched: it lists the target "web1"',
      "not-reached: a rule above it matched",
    ],
  );
  assert.deepEqual(router.explain(query("nobody")), { rules: [] });
});

test("what can never work is refused when it is made", () => {
  const code = { code: "OPERATOR_RULE_INVALID" };
  assert.throws(() => new TargetRouter(targets, [rule("r", ["web2"])]), code);
  assert.throws(() => new TargetRouter(targets, [rule("r", ["tag:none"])]), code);
  assert.throws(() => new TargetRouter([target("a"), target("b", { names: ["A"] })], []), code);
});

test("a plain name is in lower case and has no dot at its end", () => {
  assert.equal(plainName("A.b-C_1."), "a.b-c_1");
  assert.equal(plainName("::1"), "::1");
  assert.equal(plainName("a/b"), undefined);
});

const signed = ["CN:ada", "email:ada@example.com"];
const method: AuthMethod = {
  kind: "password",
  attempt: async () => ({ kind: "denied", reason: "not asked" }),
} as unknown as AuthMethod;

test("a certificate, a login and the address connected to are conditions like others", () => {
  const router = new TargetRouter(targets, [
    rule("signed", ["web1"], { clientCertificate: ["email:*@example.com", "!CN:mallory"] }),
    { ...rule("known", ["db1"], { user: "ada" }), login: [method] },
    rule("there", ["lab"], { to: [new Place("192.0.2.0/24")] }),
  ]);
  assert.equal(reached(router, query("web1")), undefined);
  assert.equal(reached(router, query("web1", { certificate: [] })), undefined);
  assert.equal(reached(router, query("web1", { certificate: signed })), "signed: 10.0.0.1:2222");
  assert.equal(reached(router, query("web1", { certificate: [...signed, "CN:mallory"] })), undefined);
  assert.equal(reached(router, query("web1", { certificate: ["EMAIL:ada@example.com"] })), undefined);
  const proven = (name: string): Partial<TargetQuery> => ({
    proven: { user: "ada", rules: new Set([name]) },
  });
  assert.equal(reached(router, query("db1", { entry: "http" })), undefined);
  assert.equal(reached(router, query("db1", { entry: "http", ...proven("other") })), undefined);
  assert.equal(reached(router, query("db1", { entry: "http", ...proven("known") })), "known: db1.lan:22");
  assert.equal(router.route(query("db1", { entry: "http", ...proven("known") }))?.user, "ada");
  const to = (ip: string): Partial<TargetQuery> => ({ to: { ip, port: 22 } });
  assert.equal(reached(router, query("a.lab.example")), undefined);
  assert.equal(reached(router, query("a.lab.example", to("192.0.3.1"))), undefined);
  assert.equal(reached(router, query("a.lab.example", to("192.0.2.1"))), "there: a.lab.lan:22");
});

test("what a client could show depends on anything but the name it asks for", () => {
  const router = new TargetRouter(targets, [
    rule("signed", ["web1"], { clientCertificate: ["*"], from: [new Cidr("10.0.0.0/8")] }),
    { ...rule("known", ["db1"], { entries: ["http", "tls"] }), login: [method] },
  ]);
  for (const name of ["web1", "db1", "nobody", ""]) {
    assert.deepEqual(router.wants(query(name, { entry: "http" })), ["certificate", "login"], name);
    assert.deepEqual(router.wants(query(name, { entry: "tls" })), ["certificate"], name);
    assert.deepEqual(router.wants(query(name, { entry: "jump" })), [], name);
    const away = { from: { ip: "11.0.0.1", text: "x" } };
    assert.deepEqual(router.wants(query(name, { entry: "http", ...away })), ["login"], name);
    const shown = { certificate: [], proven: { user: "x", rules: new Set<string>() } };
    assert.deepEqual(router.wants(query(name, { entry: "http", ...shown })), [], name);
  }
});

test("targets that stand at addresses: one, one port of it, a range, and a pattern over it", () => {
  const at = (...places: string[]): Pick<Target, "at"> => ({ at: places.map((each) => new Place(each)) });
  const pattern = new Pattern("2001:db8:1::(?<n>[0-9]+)");
  const router = new TargetRouter(
    [
      target("port", at("192.0.2.1:2201"), "10.0.0.2"),
      target("one", at("192.0.2.1", "2001:DB8:0::1"), "10.0.0.1"),
      target("numbered", { ...at("2001:db8:1::/64"), pattern }, "web{n}.lan"),
      target("same", at("198.51.100.0/24"), "{to}", "{toPort}"),
    ],
    [rule("all", ["*"])],
  );
  const there = (name: string, port = 22): string | undefined =>
    reached(router, query(name, { entry: "address", port }));
  assert.equal(there("192.0.2.1", 2201), "all: 10.0.0.2:22");
  assert.equal(there("192.0.2.1"), "all: 10.0.0.1:22");
  assert.equal(there("2001:db8::1"), "all: 10.0.0.1:22");
  assert.equal(there("2001:db8:1::17"), "all: web17.lan:22");
  assert.equal(there("198.51.100.7", 2200), "all: 198.51.100.7:2200");
  for (const name of ["192.0.2.2", "2001:db8:1::a", "one", ""]) assert.equal(there(name), undefined, name);
  // By its name, it has no address to fill in.
  assert.equal(reached(router, query("same")), undefined);
});

test("pages of a device: explained as they are decided", () => {
  const router = new TargetRouter(
    [target("web1"), { ...target("fleet"), devices: true }],
    [
      rule("open", ["fleet"]),
      rule("others", ["web1"], { clientCertificate: ["*"] }),
      { ...rule("hall", ["tag:hall1"], { from: [new Cidr("10.0.0.0/8")] }), login: [method] },
      rule("signed", ["fleet"], { clientCertificate: ["CN:ada"] }),
    ],
  );
  const device = { name: "kiosk7", tags: ["hall1"] };
  const proven = { user: "ada", rules: new Set(["hall"]) };
  const said = (more: Partial<TargetQuery>, which = device): readonly (readonly [string, string])[] => {
    const asked = query(which.name, { entry: "web", ...more });
    const explained = router.explainWeb(which, asked);
    const matched = explained.rules.find(({ outcome }) => outcome === "matched")?.rule;
    assert.equal(matched, router.webRule(which, asked)?.name);
    return explained.rules.map(({ outcome, reason }) => [outcome, reason]);
  };
  assert.deepEqual(said({ proven }), [
    ["skipped", "it asks for no proof, and pages are for those who give one"],
    ["skipped", "it lists neither the device nor one of its tags"],
    ["matched", 'it lists the device "kiosk7"'],
    ["not-reached", "a rule above it matched"],
  ]);
  assert.match(said({})[2]?.[1] ?? "", /asks for a name and a password/);
  assert.equal(said({ proven, from: { ip: "11.0.0.1", text: "11.0.0.1" } })[2]?.[0], "skipped");
  assert.equal(said({ proven, certificate: ["CN:ada"] }, { name: "kiosk8", tags: [] })[3]?.[0], "matched");
  assert.deepEqual(new TargetRouter([target("web1")], []).explainWeb(device, query("kiosk7")), { rules: [] });
});

test("HTTP by its Host reaches targets that speak it, and no others", () => {
  const router = new TargetRouter([target("web", { http: true }), target("ssh")], [rule("all", ["*"])]);
  assert.equal(reached(router, query("web", { entry: "host" })), "all: web.lan:22");
  assert.equal(reached(router, query("ssh", { entry: "host" })), undefined);
  assert.equal(reached(router, query("web")), "all: web.lan:22");
});
