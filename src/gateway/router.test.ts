import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, Pattern, parseTemplate, Place } from "#base";
import type { AuthMethod, Credential, LoginDirection, Rule, RuleMatch } from "#contract";
import { fingerprint, formatPublicKey, generatePrivateKey, type PublicKey } from "#ssh/keys";
import { directedRoute, Router, type RouteQuery, routeToTarget } from "./router.ts";
import { TargetRouter } from "./target-router.ts";

const password: AuthMethod = {
  kind: "password",
  methods: ["password"],
  defers: true,
  givesPassword: true,
  attempt: async () => ({ kind: "deferred" }),
  [Symbol.asyncDispose]: async () => {},
};
const clientPassword: Credential = {
  kind: "client-password",
  needsClientPassword: true,
  ways: async () => [],
  [Symbol.asyncDispose]: async () => {},
};

interface RuleText {
  readonly name?: string;
  readonly match?: RuleMatch;
  readonly hosts?: readonly string[];
  readonly port?: string;
  readonly user?: string;
  readonly targets?: readonly string[];
  readonly spread?: "random";
}

function rule({
  name = "rule",
  match = {},
  hosts = ["a.lan"],
  port = "22",
  user = "{user}",
  targets,
  spread,
}: RuleText): Rule {
  return {
    name,
    match,
    login: [[password]],
    upstream: {
      addresses: hosts.map((host) => ({ host: parseTemplate(host), port: parseTemplate(port) })),
      spread: spread ?? "in-order",
      user: parseTemplate(user),
      credentials: [clientPassword],
      hostKey: { dangerouslyAcceptAny: true },
      connectTimeoutMs: 1000,
    },
    ...(targets === undefined ? {} : { targets }),
  };
}

function query(user: string, ip = "192.0.2.7", nowMs = 0): RouteQuery {
  return { user, from: { ip, text: `${ip}:1` }, nowMs };
}

function routed(rules: readonly RuleText[], asked: RouteQuery): string | undefined {
  const route = new Router(rules.map(rule)).route(asked);
  if (route === undefined) return undefined;
  return `${route.rule}: ${route.user}@${route.addresses.map(({ host, port }) => `${host}:${port}`).join(",")}`;
}

test("the first rule that matches wins, from top to bottom", () => {
  const rules: RuleText[] = [
    { name: "exact", match: { user: "web12" }, hosts: ["exact.lan"] },
    {
      name: "pattern",
      match: { userPattern: new Pattern("web(?<id>[0-9]+)") },
      hosts: ["web{id}.lan"],
      user: "root",
    },
    { name: "later", match: { userPattern: new Pattern("web1.*") }, hosts: ["later.lan"] },
    { name: "default", hosts: ["default.lan"], port: "2200" },
  ];
  assert.equal(routed(rules, query("web12")), "exact: web12@exact.lan:22");
  assert.equal(routed(rules, query("web13")), "pattern: root@web13.lan:22");
  assert.equal(routed(rules, query("web1x")), "later: web1x@later.lan:22");
  assert.equal(routed(rules, query("xweb1")), "default: xweb1@default.lan:2200");
  assert.equal(routed(rules, query("Web12")), "default: Web12@default.lan:2200");
  assert.equal(routed(rules, query("")), undefined);
  assert.equal(routed(rules, query("w".repeat(257))), undefined);
});

test("a later rule that does not match leaves what the earlier one made", () => {
  const rules: RuleText[] = [
    { name: "first", match: { userPattern: new Pattern("web(?<id>[0-9]+)") }, hosts: ["web{id}.lan"] },
    { name: "second", match: { userPattern: new Pattern("db(?<id>[0-9]+)") }, hosts: ["db{id}.lan"] },
  ];
  assert.equal(routed(rules, query("web7")), "first: web7@web7.lan:22");
});

test("captures fill in host, port and user, by number and by name", () => {
  const match = { userPattern: new Pattern("([a-z]+)-(?<n>[0-9])(?:-(?<port>[0-9]+))?") };
  const rules: RuleText[] = [{ match, hosts: ["{1}{n}.lan"], port: "{port}", user: "{2}-{1}" }];
  assert.equal(routed(rules, query("web-3")), "rule: 3-web@web3.lan:22", "a port that was not given is 22");
  assert.equal(routed(rules, query("web-3-2200")), "rule: 3-web@web3.lan:2200");
  assert.equal(routed(rules, query("web-3-0")), undefined);
  assert.equal(routed(rules, query("web-3-65536")), undefined);
  assert.equal(routed(rules, query("web-3-000022")), undefined);
});

test("a rule holds for its networks only, and a UNIX socket is in none", () => {
  const rules: RuleText[] = [{ match: { from: [new Cidr("10.0.0.0/8"), new Cidr("2001:db8::/32")] } }];
  assert.notEqual(routed(rules, query("x", "10.200.3.4")), undefined);
  assert.notEqual(routed(rules, query("x", "2001:db8:1::1")), undefined);
  assert.equal(routed(rules, query("x", "11.0.0.1")), undefined);
  assert.equal(routed(rules, query("x", "2001:db9::1")), undefined);
  assert.equal(routed(rules, { user: "x", from: { text: "unix" }, nowMs: 0 }), undefined);
});

test("a rule holds from notBefore until before notAfter", () => {
  const rules: RuleText[] = [{ match: { notBeforeMs: 1000, notAfterMs: 2000 } }];
  const held = [999, 1000, 1999, 2000].map((nowMs) => routed(rules, query("x", "::1", nowMs)) !== undefined);
  assert.deepEqual(held, [false, true, true, false]);
});

test("a host that the client names must be among the targets", () => {
  const match = { userPattern: new Pattern("(?<login>[^+]+)\\+(?<host>[^:]*)(:(?<port>[0-9]+))?") };
  const rules: RuleText[] = [
    {
      match,
      hosts: ["{host}"],
      port: "{port}",
      user: "{login}",
      targets: ["*.example.lan", "10.0.0.?", "!secret.*"],
    },
    { name: "default", hosts: ["default.lan"] },
  ];
  assert.equal(routed(rules, query("bob+web.example.lan:2222")), "rule: bob@web.example.lan:2222");
  assert.equal(routed(rules, query("bob+WEB.example.LAN")), "rule: bob@web.example.lan:22");
  assert.equal(routed(rules, query("bob+10.0.0.7")), "rule: bob@10.0.0.7:22");
  for (const host of [
    "example.lan",
    "web.example.lan.evil.org",
    "secret.example.lan",
    // The long s, which DNS and some comparisons take for an s.
    "\u017fecret.example.lan",
    "10.0.0.77",
    "x/../web.example.lan",
    "-oProxyCommand=x.example.lan",
    "a b.example.lan",
    "167772167",
    "",
  ]) {
    assert.equal(
      routed(rules, query(`bob+${host}`)),
      undefined,
      `${host}: refused, and no later rule is asked`,
    );
  }
});

test("without targets a capture may fill in a label, never add one", () => {
  const match = { userPattern: new Pattern("(?<id>.*)") };
  const rules: RuleText[] = [{ match, hosts: ["web{id}.example.lan"] }];
  assert.equal(routed(rules, query("12")), "rule: 12@web12.example.lan:22");
  assert.equal(routed(rules, query("1.evil")), undefined);
  assert.equal(routed(rules, query("1:22")), undefined);
});

test("hosts that read like numbers are not dialled", () => {
  const match = { userPattern: new Pattern("(?<id>.*)") };
  const rules: RuleText[] = [{ match, hosts: ["1{id}"], targets: ["*"] }];
  for (const id of ["23", "27.1", "0.0.0x1"]) assert.equal(routed(rules, query(id)), undefined, id);
  assert.equal(routed(rules, query("0.0.0.1")), "rule: 0.0.0.1@10.0.0.1:22");
});

test("addresses come in order, or shuffled", () => {
  const hosts = ["a.lan", "b.lan", "c.lan"];
  assert.equal(routed([{ hosts }], query("x")), "rule: x@a.lan:22,b.lan:22,c.lan:22");
  const router = new Router([rule({ hosts, spread: "random" })], () => 0);
  assert.deepEqual(
    router.route(query("x"))?.addresses.map(({ host }) => host),
    ["b.lan", "c.lan", "a.lan"],
  );
});

test("explain gives each rule's reason", () => {
  const router = new Router(
    [
      { name: "other", match: { user: "alice" } },
      { name: "far", match: { user: "bob", from: [new Cidr("10.0.0.0/8")] } },
      { name: "old", match: { user: "bob", notAfterMs: 1 } },
      { name: "hit", match: { userPattern: new Pattern("b(o)b") } },
      { name: "after" },
    ].map(rule),
  );
  const { rules, route } = router.explain(query("bob", "192.0.2.7", 5));
  assert.deepEqual(
    rules.map(({ rule, outcome, reason }) => [rule, outcome, reason]),
    [
      ["other", "skipped", 'the name is not "alice"'],
      ["far", "skipped", "192.0.2.7:1 is not in 10.0.0.0/8"],
      ["old", "skipped", "it held until 1970-01-01T00:00:00.001Z"],
      ["hit", "matched", "the name matches b(o)b"],
      ["after", "not-reached", "a rule above it matched"],
    ],
  );
  assert.equal(route?.rule, "hit");
});

test("explain tells of a target that is refused", () => {
  const match = { userPattern: new Pattern("(?<host>.*)") };
  const { rules, route } = new Router([rule({ match, hosts: ["{host}"], targets: ["a"] })]).explain(
    query("b"),
  );
  assert.deepEqual(rules, [
    { rule: "rule", outcome: "refused", reason: '"b" is not among the rule\'s targets' },
  ]);
  assert.equal(route, undefined);
});

test("a rule that cannot work is refused at the start", () => {
  const free = { userPattern: new Pattern("(?<host>.*)") };
  const cases: [string, RuleText | Rule][] = [
    ["an unknown capture", { match: { userPattern: new Pattern("(a)") }, hosts: ["{2}.lan"] }],
    ["an unknown name", { match: { user: "x" }, user: "{name}" }],
    ["a free host without targets", { match: free, hosts: ["{host}"] }],
    ["a free host of two captures", { match: free, hosts: ["{host}.{0}"] }],
    ["a host that is none", { hosts: ["a b"] }],
    ["no address", { hosts: [] }],
    ["both kinds of name", { match: { user: "x", ...free } }],
    ["no login", { ...rule({}), login: [] }],
    ["no credentials", { ...rule({}), upstream: { ...rule({}).upstream, credentials: [] } }],
    [
      "the upstream is to check a password that is never sent there",
      {
        ...rule({}),
        upstream: { ...rule({}).upstream, credentials: [{ ...clientPassword, needsClientPassword: false }] },
      },
    ],
  ];
  for (const [why, text] of cases) {
    const made = "login" in text ? text : rule(text);
    assert.throws(() => new Router([made]), { code: "OPERATOR_RULE_INVALID" }, why);
  }
});

test("the key decides: each goes elsewhere under one name, and who shows none passes those rules by", () => {
  const [ada, bob, eve] = [1, 2, 3].map(() => generatePrivateKey("ssh-ed25519").publicKey);
  assert.ok(ada && bob && eve);
  const router = new Router([
    rule({ name: "ada", match: { user: "git", keys: [formatPublicKey(ada.blob)] }, hosts: ["a.lan"] }),
    rule({ name: "bob", match: { fingerprints: [fingerprint(bob.blob)] }, hosts: ["b.lan"] }),
    rule({ name: "rest", match: { user: "git" }, hosts: ["rest.lan"] }),
  ]);
  const cases: readonly [string, PublicKey | undefined, string | undefined][] = [
    ["git", ada, "ada"],
    ["git", bob, "bob"],
    ["other", bob, "bob"],
    ["other", ada, undefined],
    ["git", eve, "rest"],
    ["git", undefined, "rest"],
  ];
  for (const [user, key, expected] of cases) {
    const asked = { ...query(user), ...(key === undefined ? {} : { key }) };
    const route = router.route(asked);
    assert.equal(route?.rule, expected);
    assert.equal(router.explain(asked).route?.rule, expected);
    assert.equal(route?.matchedKey, expected === "rest" || expected === undefined ? undefined : key?.blob);
  }
  const { rules } = router.explain({ ...query("git"), key: bob });
  assert.deepEqual(
    rules.map(({ outcome }) => outcome),
    ["skipped", "matched", "not-reached"],
  );
  assert.equal(rules[0]?.reason, "the key is none of its keys");
  assert.equal(rules[1]?.reason, "it takes any name, the key is one of its keys");
  assert.throws(() => new Router([rule({ match: { keys: ["nonsense"] } })]), {
    code: "OPERATOR_RULE_INVALID",
  });
});

const key: AuthMethod = {
  ...password,
  kind: "publickey",
  methods: ["publickey"],
  defers: false,
  givesPassword: false,
};
const stored: Credential = { ...clientPassword, kind: "key", needsClientPassword: false };

function served(more: Partial<Rule> & { user?: string; credentials?: readonly Credential[] } = {}): Rule {
  const { user = "{user}", credentials = [], ...rest } = more;
  const { upstream, ...base } = rule({ hosts: [], user });
  return {
    ...base,
    login: [[key]],
    upstream: { ...upstream, credentials },
    serve: { kind: "jump", targets: ["web1"] },
    ...rest,
  };
}

test("who is served here goes nowhere at once, and to the chosen target by the rule's login", () => {
  const route = new Router([served({ user: "{user}-on-{target}", credentials: [stored] })]).route(
    query("ada"),
  );
  assert(route);
  assert.deepEqual([route.addresses, route.user, route.serve?.targets], [[], "ada", ["web1"]]);
  const addresses = [{ host: parseTemplate("10.0.0.1"), port: parseTemplate("2222") }];
  const web1 = {
    name: "web1",
    names: [],
    tags: [],
    addresses,
    connectTimeoutMs: 7,
    tls: false,
  };
  const asked = { entry: "jump" as const, name: "web1", from: { text: "x" }, nowMs: 0 };
  const target = new TargetRouter([web1], []).routeWithin({ name: "rule", targets: ["*"] }, asked);
  assert(target);
  const chosen = routeToTarget(route, target);
  assert.deepEqual(chosen?.addresses, [{ host: "10.0.0.1", port: 2222 }]);
  assert.equal(chosen.user, "ada-on-web1");
  assert.equal(chosen.serve, undefined);
  assert.deepEqual(chosen.plan.credentials, [stored]);
  assert.equal(chosen.plan.connectTimeoutMs, 7);
  assert.equal(chosen.target, "web1", "its pool and its way hold");
});

const unserved: readonly [string, Rule][] = [
  ["an upstream of its own", { ...served(), upstream: rule({}).upstream }],
  ["an upstream to check a password", served({ login: [[password]] })],
  ["the client's password", served({ credentials: [clientPassword] })],
  ["an unknown capture", served({ user: "{nothing}" })],
];
for (const [what, wrong] of unserved)
  test(`a rule that serves cannot have ${what}`, () => {
    assert.throws(() => new Router([wrong]), { code: "OPERATOR_RULE_INVALID" });
  });

test("the address that the client connected to is a condition, and a capture", () => {
  const rules: RuleText[] = [
    { name: "port", match: { to: [new Place(":2201")] }, hosts: ["a.lan"] },
    {
      name: "prefix",
      match: { to: [new Place("2001:db8:1::/64")] },
      hosts: ["{to}"],
      port: "{toPort}",
      targets: ["2001:db8:1:*"],
    },
    { name: "rest", hosts: ["rest.lan"] },
  ];
  const at = (ip: string, port: number): RouteQuery => ({ ...query("ada"), to: { ip, port } });
  assert.equal(routed(rules, at("192.0.2.1", 2201)), "port: ada@a.lan:22");
  assert.equal(routed(rules, at("2001:db8:1::5", 22)), "prefix: ada@2001:db8:1::5:22");
  assert.equal(routed(rules, at("2001:db8:2::5", 22)), "rest: ada@rest.lan:22");
  assert.equal(routed(rules, query("ada")), "rest: ada@rest.lan:22");
  // A group of that name is the client's own word, as any other.
  assert.throws(
    () => routed([{ match: { userPattern: new Pattern("(?<to>.*)") }, hosts: ["{to}"] }], query("x")),
    {
      code: "OPERATOR_RULE_INVALID",
    },
  );
  assert.throws(() => routed([{ hosts: ["{to}.lan"] }], query("x")), { code: "OPERATOR_RULE_INVALID" });
});

test("a login method leads elsewhere, within what the rule allows and no further", () => {
  const targets = ["*.lan", "!db.lan", "10.0.0.*"];
  const directed = (direction: LoginDirection, text: RuleText = { targets }): string => {
    const route = new Router([rule(text)]).route(query("ada"));
    assert.ok(route !== undefined);
    const found = directedRoute(route, direction);
    if (typeof found === "string") return found;
    const places = found.addresses.map(({ host, port }) => `${host}:${port}`);
    return `${found.user}@${places.join()} by ${found.plan.credentials.map(({ kind }) => kind).join()}`;
  };
  const to = (host: string): LoginDirection => ({ address: { host, port: 2200 } });
  assert.equal(directed(to("Web1.lan")), "ada@web1.lan:2200 by client-password");
  assert.equal(directed(to("10.0.0.7")), "ada@10.0.0.7:2200 by client-password");
  assert.equal(directed({ user: "root" }), "root@a.lan:22 by client-password");
  assert.equal(directed({ credentials: [1, "client-password"] }), "ada@a.lan:22 by client-password");
  const refused = /is not among the rule's targets/;
  for (const host of ["db.lan", "DB.lan", "db.lan.", "web1.example", "192.0.2.1", "lan"])
    assert.match(directed(to(host)), refused, host);
  assert.match(directed(to("a.lan"), {}), refused, "a rule without targets goes nowhere else");
  for (const host of ["10.0.0.7 ", "0x7f.1", "a b.lan", "", "::1%eth0.lan"])
    assert.match(directed(to(host)), /is no host name or address|not among/, host);
  assert.match(directed({ credentials: [2, "key"] }), /none of the credentials 2, key/);
});

test("a zone of IPv6 does not pass for the end of a name", () => {
  const match = { userPattern: new Pattern("x\\+(?<host>.+)") };
  for (const targets of [["*.lan"], ["*"]]) {
    const rules: RuleText[] = [{ match, hosts: ["{host}"], targets }];
    assert.equal(routed(rules, query("x+::1%eth0.lan")), undefined);
    assert.equal(routed(rules, query("x+web1.lan")), "rule: x+web1.lan@web1.lan:22");
  }
  assert.equal(routed([{ hosts: ["fe80::1%eth0"] }], query("ada")), "rule: ada@fe80::1%eth0:22", "fixed");
});
