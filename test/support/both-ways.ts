import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { startAgent } from "./agent.ts";
import { startGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
import type { SshTarget } from "./ssh.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";
import type { KeyFiles } from "./test-keys.ts";
import { keyLogin, keyRule, startParts, upstreamTo, type Parts, type PartsOptions } from "./world.ts";

/** An sshd, and a gateway before it, with a user and keys. */
export interface Bench extends Parts, AsyncDisposable {
  readonly gateway: Gateway | undefined;
  readonly direct: SshTarget;
  readonly through: SshTarget | undefined;
  /** As `through`, to a rule where the client's forwarded agent signs for the upstream. */
  readonly byAgent: SshTarget | undefined;
  readonly agentGateway: Gateway | undefined;
}

export interface BenchOptions extends PartsOptions {
  readonly gateway?: GatewayOptions;
  /** More names that the gateway leads to the same name on the upstream. */
  readonly moreUsers?: readonly string[];
  /** Start what the checks with `byAgent` need. */
  readonly byAgent?: boolean;
}

/** POSTERN_TEST_DIRECT=1 runs only the direct half, to prove the checks themselves. */
export const directOnly: boolean = process.env["POSTERN_TEST_DIRECT"] === "1";

export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const parts = stack.use(await startParts(options));
  const { user, keys, sshd, identity } = parts;
  const clientKeys = [identity, ...(options.clientKeys ?? []).map((kind) => keys.key(kind, "client"))];
  const names = [user.name, ...(options.moreUsers ?? [])];
  const rules = names.map((name) =>
    keyRule(parts, name, {
      login: [keyLogin(...clientKeys)],
      upstream: upstreamTo(parts, { user: name }),
    }),
  );
  const gateway = directOnly ? undefined : stack.use(await startGateway({ ...options.gateway, rules }));
  const byAgent =
    directOnly || options.byAgent !== true
      ? undefined
      : stack.use(await agentBench(parts, clientKeys, options.gateway));
  const owned = stack.move();
  return {
    ...parts,
    gateway,
    direct: {
      host: sshd.host,
      port: sshd.port,
      user: user.name,
      knownHosts: sshd.knownHosts,
      identity: identity.path,
    },
    through: gateway?.target(user.name, identity.path),
    byAgent: byAgent?.target,
    agentGateway: byAgent?.gateway,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A gateway that keeps nothing: the client's agent signs for the upstream. */
async function agentBench(
  parts: Parts,
  clientKeys: readonly KeyFiles[],
  options: GatewayOptions = {},
): Promise<{ readonly gateway: Gateway; readonly target: SshTarget } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const { user, identity } = parts;
  const agent = stack.use(await startAgent(clientKeys.map(({ path }) => path)));
  const login = [keyLogin(...clientKeys)];
  const upstream = upstreamTo(parts, { credentials: [{ kind: "agent" }] });
  const gateway = stack.use(
    await startGateway({ ...options, rules: [keyRule(parts, user.name, { login, upstream })] }),
  );
  const owned = stack.move();
  return {
    gateway,
    target: { ...gateway.target(user.name, identity.path), forwardAgent: agent.socket },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a check is given: where to go this time, and room for files. */
export interface Way {
  readonly name: "direct" | "through the gateway" | "by the client's agent";
  readonly target: SshTarget;
  readonly bench: Bench;
  /** Writable by the tests and by the upstream's user; fresh for each run. */
  readonly folder: TempDir;
  readonly t: TestContext;
}

/**
 * Registers a check twice, direct and through the gateway, and where `byAgent` says so once more where the client's agent signs for
 * the upstream: all must hold by themselves and give the same result. `bench` is started by the file's `before` hook.
 */
export function bothWays<T>(
  name: string,
  bench: () => Bench,
  check: (way: Way) => Promise<T>,
  options: { readonly skip?: string | false; readonly byAgent?: boolean } = {},
): void {
  const results = new Map<string, T>();
  for (const way of ["direct", "through the gateway", "by the client's agent"] as const) {
    if (way !== "direct" && directOnly) continue;
    if (way === "by the client's agent" && options.byAgent !== true) continue;
    void test(`${name}, ${way}`, { skip: options.skip ?? false, timeout: 180_000 }, async (t) => {
      const all = bench();
      const target = {
        direct: all.direct,
        "through the gateway": all.through,
        "by the client's agent": all.byAgent,
      }[way];
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
