import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { startGateway, type Gateway, type Pieces } from "./gateway.ts";
import type { SshTarget } from "./ssh.ts";
import { startSshd, type Sshd, type SshdOptions } from "./sshd.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import { bareKey, testKeys, type KeyFiles, type TestKeys } from "./test-keys.ts";
import { testUser, type TestUser } from "./test-user.ts";

/** A rule that leads one user to one upstream, with a key on both sides. */
export function keyRule(options: {
  readonly user: string;
  readonly clientKeys: readonly KeyFiles[];
  readonly upstream: Sshd;
  readonly upstreamUser?: string;
  readonly upstreamKey: KeyFiles;
}): Pieces {
  return {
    name: options.user,
    match: { user: options.user },
    login: [{ kind: "publickey", keys: options.clientKeys.map((key) => bareKey(key.publicLine)) }],
    upstream: {
      addresses: [`${options.upstream.host}:${options.upstream.port}`],
      ...(options.upstreamUser === undefined ? {} : { user: options.upstreamUser }),
      credentials: [{ kind: "key", file: options.upstreamKey.path }],
      hostKey: { knownHosts: options.upstream.knownHosts },
    },
  };
}

/** An sshd, and a gateway before it, with a user and keys. */
export interface Bench extends AsyncDisposable {
  readonly user: TestUser;
  readonly keys: TestKeys;
  /** The client's key. */
  readonly identity: KeyFiles;
  readonly sshd: Sshd;
  readonly gateway: Gateway | undefined;
  readonly direct: SshTarget;
  readonly through: SshTarget | undefined;
}

export interface BenchOptions {
  readonly sshd?: SshdOptions;
  readonly gateway?: Parameters<typeof startGateway>[0];
  /** More names that the gateway leads to the same name on the upstream. */
  readonly moreUsers?: readonly string[];
}

/** POSTERN_TEST_DIRECT=1 runs only the direct half, to prove the checks themselves. */
export const directOnly: boolean = process.env["POSTERN_TEST_DIRECT"] === "1";

export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const user = stack.use(await testUser());
  const keys = stack.use(await testKeys());
  const identity = keys.key("ed25519", "client");
  const rsa = keys.key("rsa", "client");
  const upstreamKey = keys.key("ed25519", "gateway");
  const sshd = stack.use(
    await startSshd({
      ...options.sshd,
      authorizedKeys: [identity, rsa, upstreamKey].map((key) => key.publicLine),
    }),
  );
  const direct: SshTarget = {
    host: sshd.host,
    port: sshd.port,
    user: user.name,
    knownHosts: sshd.knownHosts,
    identity: identity.path,
  };
  const gateway = directOnly
    ? undefined
    : stack.use(
        await startGateway({
          ...options.gateway,
          rules: [user.name, ...(options.moreUsers ?? [])].map((name) =>
            keyRule({ user: name, clientKeys: [identity, rsa], upstream: sshd, upstreamKey }),
          ),
        }),
      );
  const owned = stack.move();
  return {
    user,
    keys,
    identity,
    sshd,
    gateway,
    direct,
    through: gateway?.target(user.name, identity.path),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a check is given: where to go this time, and room for files. */
export interface Way {
  readonly name: "direct" | "through the gateway";
  readonly target: SshTarget;
  readonly bench: Bench;
  /** Writable by the tests and by the upstream's user; fresh for each run. */
  readonly folder: TempDir;
  readonly t: TestContext;
}

/**
 * Registers a check twice, direct and through the gateway: both must hold by themselves and give the same result. `bench` is
 * started by the file's `before` hook.
 */
export function bothWays<T>(
  name: string,
  bench: () => Bench,
  check: (way: Way) => Promise<T>,
  options: { readonly skip?: string | false } = {},
): void {
  const results = new Map<string, T>();
  for (const way of ["direct", "through the gateway"] as const) {
    if (way !== "direct" && directOnly) continue;
    void test(`${name}, ${way}`, { skip: options.skip ?? false, timeout: 180_000 }, async (t) => {
      const all = bench();
      const target = way === "direct" ? all.direct : all.through;
      assert.ok(target, "the gateway is not running");
      await using folder = await sharedDir();
      results.set(way, await check({ name: way, target, bench: all, folder, t }));
      if (way !== "direct" && results.has("direct")) {
        assert.deepEqual(results.get(way), results.get("direct"), "not the same as direct");
      }
    });
  }
}

async function sharedDir(): Promise<TempDir> {
  const folder = await tempDir();
  await chmod(folder.path, 0o777);
  return folder;
}
