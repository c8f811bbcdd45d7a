/** Started as root, the gateway binds, then drops every privilege, supplementary groups too. */
import assert from "node:assert/strict";
import { chown, readFile, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { codeAt } from "#auth";
import { Secret } from "#base";
import { Secret as Base32 } from "otpauth";
import { descendants, identityOf } from "#test/support/processes";
import { postern, startGateway } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { needsRoot, testUser } from "#test/support/test-user";
import { keyLogin, keyRule, startParts, upstreamTo } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;

/** A port below 1024 that nobody listens on. */
async function freeLowPort(): Promise<number> {
  for (let port = 1023; port > 900; port -= 1) {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    return port;
  }
  throw new Error("no free port below 1024");
}

for (const workers of [1, 2]) {
  test(`all processes run as the user and group given, with no other group: ${workers} worker(s)`, {
    skip,
  }, async () => {
    await using held = new AsyncDisposableStack();
    const account = held.use(await testUser());
    const parts = held.use(await startParts({}));
    // Read before the drop or after it: the operator gives the files to the account.
    await chown(parts.gatewayKey.path, account.uid, account.gid);
    const port = await freeLowPort();
    const gateway = held.use(
      await startGateway({
        config: {
          user: account.name,
          group: account.name,
          workers,
          listen: [`127.0.0.1:${port}`],
          stateDir: account.home,
        },
        giveTo: account,
        rules: [keyRule(parts, "alpha", { upstream: upstreamTo(parts) })],
      }),
    );
    const { code, stderr } = await runSsh(gateway.target("alpha", parts.identity.path), ["true"]);
    assert.equal(code, 0, stderr);
    for (const pid of [gateway.child.pid, ...(await descendants(gateway.child.pid))]) {
      const { uids, gids, groups } = await identityOf(pid);
      assert.deepEqual(
        { uids, gids, groups: groups.filter((group) => group !== account.gid) },
        { uids: Array(4).fill(account.uid), gids: Array(4).fill(account.gid), groups: [] },
        `process ${pid}`,
      );
      const status = await readFile(`/proc/${pid}/status`, "latin1");
      assert.match(status, /^CapEff:\s+0+$/m);
      assert.match(status, /^CapPrm:\s+0+$/m);
    }
    await gateway.rewrite([keyRule(parts, "beta", { upstream: upstreamTo(parts) })]);
    gateway.signal("SIGHUP");
    await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
    assert.equal((await runSsh(gateway.target("beta", parts.identity.path), ["true"])).code, 0);
  });
}

test("root enrols a second factor; the gateway reads it, and remembers codes, as its own account", {
  skip,
}, async () => {
  await using held = new AsyncDisposableStack();
  const account = held.use(await testUser());
  const parts = held.use(await startParts({}));
  await chown(parts.gatewayKey.path, account.uid, account.gid);
  const users = join(account.home, "users.yaml");
  const gateway = held.use(
    await startGateway({
      config: {
        user: account.name,
        group: account.name,
        stateDir: account.home,
        users: { file: users },
      },
      giveTo: account,
      rules: [
        keyRule(parts, "alpha", {
          login: [keyLogin(parts.identity), { kind: "totp" }],
          require: ["publickey", "totp"],
        }),
      ],
    }),
  );
  const config = ["-c", gateway.configFile];
  // Also before the gateway has made what it keeps codes in.
  assert.equal((await postern(["user", "unlock", "alpha", ...config])).code, 0);
  const { code: status, stdout, stderr } = await postern(["user", "totp", "alpha", ...config]);
  assert.equal(status, 0, stderr);
  for (const [file, mode] of [
    [users, 0o600],
    [join(account.home, "totp"), 0o700],
  ] as const) {
    const found = await stat(file);
    assert.deepEqual([found.uid, found.gid, found.mode & 0o777], [account.uid, account.gid, mode], file);
  }
  const address = new URL(stdout.toString().trim());
  const { bytes } = Base32.fromBase32(address.searchParams.get("secret") ?? "");
  const code = codeAt({ secret: new Secret(bytes), digits: 6, algorithm: "sha1" }, Date.now());
  const login = async (): Promise<number | null> =>
    (await runSsh(gateway.target("alpha", parts.identity.path), ["true"], { passwords: [code] })).code;
  assert.equal(await login(), 0, JSON.stringify(gateway.logs().slice(-8)));
  assert.equal(await login(), 255, "the same code again");
});

test("an account that does not exist: it does not start, and says why", { skip }, async () => {
  await using parts = await startParts({});
  await using gateway = await startGateway({
    config: { user: "no-such-account" },
    rules: [keyRule(parts)],
    unready: true,
  });
  const { code, stderr } = await gateway.child.outcome();
  assert.notEqual(code, 0);
  assert.match(stderr, /no-such-account/);
  const check = await postern(["check", "-c", gateway.configFile]);
  assert.notEqual(check.code, 0);
});
