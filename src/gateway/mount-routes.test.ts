import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern, parseTemplate } from "#base";
import type { AuthMethod, MountPlan, Rule, UpstreamPlan } from "#contract";
import { planOf } from "#test/support/confined";
import { Router } from "./router.ts";

const key: AuthMethod = {
  kind: "publickey",
  methods: ["publickey"],
  defers: false,
  givesPassword: false,
  attempt: async () => ({ kind: "denied", reason: "a test" }),
  [Symbol.asyncDispose]: async () => {},
};

function upstream(host?: string, user = "files"): UpstreamPlan {
  return {
    addresses: host === undefined ? [] : [{ host: parseTemplate(host), port: parseTemplate("22") }],
    spread: "in-order",
    user: parseTemplate(user),
    credentials: [],
    hostKey: { dangerouslyAcceptAny: true },
    connectTimeoutMs: 1000,
  };
}

function mount(at: string, host: string, user?: string): MountPlan {
  return { ...planOf({}), at: parseTemplate(at), upstream: upstream(host, user) };
}

function rule(mounts: readonly MountPlan[], more: Partial<Rule> = {}): Rule {
  return {
    name: "tree",
    match: { userPattern: new Pattern("(?<a>[^+]*)(\\+(?<b>.*))?") },
    login: [[key]],
    upstream: upstream(),
    serve: { kind: "files", targets: [] },
    sftp: { ...planOf({}), mounts },
    ...more,
  };
}

/** Where each mount leads, or why nobody is let in. */
function routed(user: string, mounts: readonly MountPlan[], more?: Partial<Rule>): string {
  const { route, rules } = new Router([rule(mounts, more)]).explain({
    user,
    from: { ip: "192.0.2.7", text: "192.0.2.7:1" },
    nowMs: 0,
  });
  if (route === undefined) return rules.map(({ reason }) => reason).join();
  return (route.mounts ?? [])
    .map(({ at, route: way }) => `${at} ${way.user}@${way.addresses.map(({ host }) => host).join()}`)
    .join(", ");
}

test("each mount has its own way, its captures filled in", () => {
  const mounts = [mount("/home/{a}", "{a}.lan"), mount("/shared", "b.lan", "{b}")];
  assert.equal(routed("ada+bob", mounts), "/home/ada files@ada.lan, /shared bob@b.lan");
});

test("a name that makes no folder, no host, no user or no two places apart is let in nowhere", () => {
  assert.match(routed("..+x", [mount("/home/{a}", "a.lan")]), /no folder's name/);
  assert.match(routed("x/y+x", [mount("/home/{a}", "a.lan")]), /no folder's name/);
  assert.match(routed("+x", [mount("/home/{a}", "a.lan")]), /no folder's name/);
  assert.match(routed("a.evil+x", [mount("/x", "{a}.lan")]), /may not hold dots/);
  assert.match(routed("a", [mount("/x", "a.lan", "{b}")]), /makes no user name for \/x/);
  assert.match(routed("x+x", [mount("/{a}", "a.lan"), mount("/{b}", "b.lan")]), /two mounts are at \/x/);
  const targets = ["*.lan"];
  assert.match(routed("evil.org+x", [mount("/x", "{a}")], { targets }), /not among the rule's targets/);
  assert.equal(routed("c.lan+x", [mount("/x", "{a}")], { targets }), "/x files@c.lan");
});

test("mounts that can never be are refused before anybody comes", () => {
  const made = (mounts: readonly MountPlan[]) => (): unknown => new Router([rule(mounts)]);
  assert.throws(made([mount("/a", "a.lan"), mount("/a/b", "b.lan")]), /lies within the mount \/a/);
  assert.throws(made([mount("/a", "a.lan"), mount("/a", "b.lan")]), /two mounts are at \/a/);
  assert.throws(made([mount("/a", "{a}")]), /lets the client name any host/);
  assert.throws(made([mount("/{nobody}", "a.lan")]), /uses \{nobody\}/);
  assert.throws(made([mount("/a", "a.lan", "{target}")]), /uses \{target\}/);
});
