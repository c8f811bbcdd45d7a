/** `kind: relay`: the upstream's own login, with real PAM behind a real sshd, is the same through the gateway as without it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { succeed } from "#test/support/child";
import { postern } from "#test/support/gateway";
import { type PamService, startPamService } from "#test/support/pam";
import { askpassEnv, runSsh, type SshTarget } from "#test/support/ssh";
import type { Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { needsRoot } from "#test/support/test-user";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;
let world: World;
let pam: PamService;
/** One proof, two of them, and a password before. */
let [one, two, mixed]: Sshd[] = [];

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  pam = await startPamService();
  const hostKeyFiles = world.sshd.hostKeys;
  one = await pam.sshd("keyboard-interactive password", { hostKeyFiles });
  two = await pam.sshd("keyboard-interactive,keyboard-interactive", { hostKeyFiles });
  mixed = await pam.sshd("password,keyboard-interactive", { hostKeyFiles });
  const rule = (name: string, sshd: Sshd, more: object = {}): object => ({
    name,
    match: { user: name },
    login: [{ kind: "relay", ...more }],
    upstream: upstreamTo({ ...world, sshd }, { credentials: [{ kind: "relay" }] }),
  });
  await world.gateway.rewrite([
    rule("one", one),
    rule("two", two),
    rule("mixed", mixed),
    rule("open", one, { bannerFirst: true }),
  ] as never);
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  for (const sshd of [one, two, mixed]) await sshd?.[Symbol.asyncDispose]();
  await pam?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const direct = (sshd: Sshd | undefined): SshTarget => ({
  host: "127.0.0.1",
  port: sshd?.port ?? 0,
  user: world.user.name,
  knownHosts: sshd?.knownHosts ?? "",
});
const places = (name: string, sshd: Sshd | undefined): readonly (readonly [string, SshTarget])[] => [
  ["direct", direct(sshd)],
  ["through the gateway", world.gateway.target(name)],
];

interface Login {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Without the name and the host that ssh puts before a question. */
  readonly prompts: readonly string[];
}

async function login(
  where: SshTarget,
  answers: readonly string[],
  method = "keyboard-interactive",
  tries = 1,
): Promise<Login> {
  const env = askpassEnv(answers);
  const { code, stdout, stderr } = await runSsh(where, ["id -un"], {
    env,
    options: ["BatchMode=no", `NumberOfPasswordPrompts=${tries}`, `PreferredAuthentications=${method}`],
  });
  const text = await readFile(env["POSTERN_TEST_PROMPTS"] ?? "", "utf8").catch(() => "");
  const prompts = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^\([^)]*\) /, "").replace(/^\S+@\S+'s /, ""));
  return { code, stdout: stdout.toString(), stderr, prompts };
}

test("a round of PAM, and the banner", { skip }, async () => {
  const password = world.user.password ?? "";
  for (const method of ["keyboard-interactive", "password"]) {
    const seen: Login[] = [];
    for (const [way, where] of places("one", one)) {
      const result = await login(where, [password], method);
      assert.deepEqual([result.code, result.stdout], [0, `${world.user.name}\n`], `${way}: ${result.stderr}`);
      assert.match(result.stderr, /Authorised people only/, way);
      seen.push(result);
    }
    assert.deepEqual(seen[1]?.prompts, seen[0]?.prompts, method);
  }
});

test("the devices that a client asks for are asked of the upstream", { skip }, async () => {
  for (const [way, where] of places("one", one)) {
    const { code, stderr } = await runSsh(where, ["true"], {
      passwords: [world.user.password ?? ""],
      options: [
        "PreferredAuthentications=keyboard-interactive",
        `KbdInteractiveDevices=pam,${way.split(" ")[0]}`,
      ],
    });
    assert.equal(code, 0, stderr);
    assert.ok(one?.count(new RegExp(`keyboard-interactive devs pam,${way.split(" ")[0]}`)) === 1, way);
  }
});

test("a wrong answer is a wrong answer", { skip }, async () => {
  for (const [way, where] of places("one", one)) {
    const { code, stderr } = await login(where, ["wrong"]);
    assert.equal(code, 255, way);
    assert.match(stderr, /Permission denied/, way);
  }
});

test("the banner: after a proof, or before the first question where the rule says so", { skip }, async () => {
  const banner = /Authorised people only/g;
  const shown = async (where: SshTarget, method: string): Promise<number> => {
    const { code, stderr } = await login(where, ["wrong"], method);
    assert.equal(code, 255);
    return stderr.match(banner)?.length ?? 0;
  };
  for (const method of ["keyboard-interactive", "password"]) {
    assert.equal(await shown(direct(one), method), 1, method);
    assert.equal(await shown(world.gateway.target("open"), method), 1, method);
    assert.equal(await shown(world.gateway.target("one"), method), 0, method);
    assert.equal(await shown(world.gateway.target("nobody-here"), method), 0, method);
  }
  const right = await login(world.gateway.target("open"), [world.user.password ?? ""]);
  assert.deepEqual([right.code, right.stderr.match(banner)?.length], [0, 1]);
});

test("two proofs one after the other: partial success", { skip }, async () => {
  const password = world.user.password ?? "";
  for (const [name, sshd, methods] of [
    ["two", two, "keyboard-interactive"],
    ["mixed", mixed, "password,keyboard-interactive"],
  ] as const) {
    const seen: (readonly string[])[] = [];
    for (const [way, where] of places(name, sshd)) {
      const right = await login(where, [password], methods, 2);
      assert.equal(right.code, 0, `${name}, ${way}: ${right.stderr}`);
      assert.equal(right.prompts.length, 2, `${name}, ${way}`);
      seen.push(right.prompts);
      const half = await login(where, [password, "wrong"], methods);
      assert.equal(half.code, 255, `${name}, ${way}`);
      assert.equal(half.stdout, "");
    }
    assert.deepEqual(seen[1], seen[0]);
  }
});

test("an expired password is changed in further rounds", { skip }, async () => {
  let password = world.user.password ?? "";
  const seen: (readonly string[])[] = [];
  for (const [at, [way, where]] of places("one", one).entries()) {
    const fresh = `Fresh-${at}-${process.pid}-horse-battery`;
    await succeed("chage", ["-d", "0", world.user.name]);
    const { code, stdout, stderr, prompts } = await login(where, [password, password, fresh, fresh]);
    assert.deepEqual([code, stdout], [0, `${world.user.name}\n`], `${way}: ${stderr}`);
    seen.push(prompts);
    password = fresh;
    assert.equal((await login(where, [password])).code, 0, "the new one is the one");
  }
  assert.ok((seen[0]?.length ?? 0) >= 4, String(seen[0]));
  assert.deepEqual(seen[1], seen[0]);
  await succeed("sh", ["-c", `echo '${world.user.name}:${world.user.password ?? ""}' | chpasswd`]);
});

test("a name that leads nowhere is asked the same, and refused the same", { skip }, async () => {
  const known = await login(world.gateway.target("one"), ["wrong"]);
  const unknown = await login(world.gateway.target("nobody-here"), ["wrong"]);
  assert.deepEqual(unknown.prompts, known.prompts);
  const text = ({ stderr }: Login): string => stderr.replaceAll(/nobody-here|one/g, "NAME");
  assert.equal(text(unknown), text(known));
  assert.equal(unknown.code, known.code);
});

test("neither password nor answers are in the log", { skip }, async () => {
  const password = world.user.password ?? "";
  assert.equal((await login(world.gateway.target("one"), [password])).code, 0);
  const log = JSON.stringify(world.gateway.logs());
  assert.ok(!log.includes(password) && log.includes("auth-success"));
});

test("check tells what cannot be relayed, and which half is missing", { skip }, async () => {
  const { gateway } = world;
  const upstream = (...kinds: readonly string[]): object =>
    upstreamTo(world, { credentials: kinds.map((kind) => ({ kind })) });
  for (const [login_, upstream_, words] of [
    [
      {
        kind: "publickey",
        keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMc6hz1mSUI9I1kQXT8T6aUqQ6L6v2iJzWmV8q9vYk2D"],
      },
      upstream("relay"),
      /cannot be relayed/,
    ],
    [{ kind: "relay" }, upstream("none"), /needs the credential relay/],
  ] as const) {
    await gateway.rewrite([
      { name: "r", match: { user: "r" }, login: [login_], upstream: upstream_ },
    ] as never);
    const { code, stdout, stderr } = await postern(["check", "-c", gateway.configFile]);
    assert.notEqual(code, 0);
    assert.match(`${stdout.toString()}${stderr}`, words);
  }
});
