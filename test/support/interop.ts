/** What the interop suites share: a gateway that knows every algorithm, before any upstream on loopback. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import {
  cipherAlgorithms,
  defaultAlgorithms,
  groupExchanges,
  kexMethods,
  macAlgorithms,
} from "#ssh/algorithms";
import { Child, run, succeed } from "./child.ts";
import { sha256, testBytes } from "./data.ts";
import type { Pieces } from "./gateway.ts";
import { runSsh } from "./ssh.ts";
import { debianPython } from "./strangers.ts";
import { bareKey, keyKinds, type KeyKind } from "./test-keys.ts";
import { keyLogin, keyRule, startWorld, upstreamTo, type PartsOptions, type World } from "./world.ts";

/** One choice of algorithms; what is absent is left to the two sides. */
export interface Case {
  readonly kex?: string;
  readonly cipher?: string;
  readonly mac?: string;
  readonly hostKeyAlgorithm?: string;
}

/** Names for each field of a case. */
export interface Known {
  readonly kex: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly hostKeyAlgorithm: readonly string[];
}

/** What the gateway knows. */
export const gatewayKnows: Known = {
  kex: [...kexMethods.keys(), ...groupExchanges.keys()],
  cipher: [...cipherAlgorithms.keys()],
  mac: [...macAlgorithms.keys()],
  hostKeyAlgorithm: defaultAlgorithms.hostKeys,
};

/** The kind of key behind a host key algorithm. */
export const keyKindOf: Readonly<Record<string, KeyKind>> = {
  "ssh-ed25519": "ed25519",
  "ecdsa-sha2-nistp256": "ecdsa-256",
  "ecdsa-sha2-nistp384": "ecdsa-384",
  "ecdsa-sha2-nistp521": "ecdsa-521",
  "rsa-sha2-512": "rsa",
  "rsa-sha2-256": "rsa",
};

/** A cipher that needs a MAC, so that the MAC is one that counts. */
const macCipher = "aes128-ctr";

/** A case for each algorithm that both know. */
export function casesFor(stranger: Known): Case[] {
  const both = (field: keyof Known): string[] =>
    gatewayKnows[field].filter((name) => stranger[field].includes(name));
  return [
    ...both("kex").map((kex) => ({ kex })),
    ...both("cipher").map((cipher) => ({ cipher })),
    ...both("mac").map((mac) => ({ mac, cipher: macCipher })),
    ...both("hostKeyAlgorithm").map((hostKeyAlgorithm) => ({ hostKeyAlgorithm })),
  ];
}

/** "kex curve25519-sha256" */
export function titleOf(choice: Case): string {
  const { kex, mac, cipher, hostKeyAlgorithm } = choice;
  if (kex !== undefined) return `kex ${kex}`;
  if (mac !== undefined) return `mac ${mac}`;
  return cipher === undefined ? `host key ${hostKeyAlgorithm ?? "of its choice"}` : `cipher ${cipher}`;
}

/** Algorithms that OpenSSH says it knows. */
export async function opensshKnows(): Promise<Known> {
  const query = async (what: string): Promise<string[]> =>
    (await succeed("ssh", ["-Q", what])).trim().split("\n");
  return {
    kex: await query("kex"),
    cipher: await query("cipher"),
    mac: await query("mac"),
    hostKeyAlgorithm: await query("HostKeyAlgorithms"),
  };
}

/** The `algorithms` of a gateway's configuration that leave nothing but one choice. */
export function onlyAlgorithms(choice: Case = {}): Pieces {
  const { kex, cipher, mac, hostKeyAlgorithm } = choice;
  return {
    kex: kex === undefined ? gatewayKnows.kex : [kex],
    ciphers: cipher === undefined ? gatewayKnows.cipher : [cipher],
    macs: mac === undefined ? gatewayKnows.mac : [mac],
    hostKeys: hostKeyAlgorithm === undefined ? gatewayKnows.hostKeyAlgorithm : [hostKeyAlgorithm],
  };
}

export const interopBytes: Buffer = testBytes(320_000, 77);

/** A gateway with host keys of every kind; the user's own name leads to an sshd, "p12345" to whatever listens on that port. */
export async function startInterop(options: PartsOptions = {}): Promise<World> {
  return await startWorld({
    clientKeys: ["rsa"],
    sshd: { hostKeys: keyKinds },
    ...options,
    hostKeys: keyKinds,
    config: { algorithms: onlyAlgorithms() },
    rules: interopRules,
  });
}

export const interopRules = (parts: Parameters<typeof keyRule>[0]): readonly Pieces[] => {
  const clientKeys = [parts.identity, parts.keys.key("rsa", "client")];
  const hostKeys = keyKinds.map((kind) => bareKey(parts.keys.key(kind, "host").publicLine));
  return [
    keyRule(parts, parts.user.name, { login: [keyLogin(...clientKeys)] }),
    {
      name: "port",
      match: { userPattern: "p(?<port>[0-9]+)" },
      login: [keyLogin(...clientKeys)],
      upstream: upstreamTo(parts, { addresses: ["127.0.0.1:{port}"], hostKey: { keys: hostKeys } }),
    },
  ];
};

/** Through the gateway to an upstream on that port: what is sent to the command comes back whole, with its exit status. */
export async function echoThrough(
  world: World,
  port: number,
  expected: { readonly code: number },
  options: readonly string[] = ["KexAlgorithms=curve25519-sha256"],
): Promise<void> {
  const target = world.gateway.target(`p${port}`, world.identity.path);
  const { code, stdout, stderr } = await runSsh(target, ["cat"], {
    stdin: { data: interopBytes },
    options,
  });
  assert.equal(code, expected.code, stderr);
  assert.equal(sha256(stdout), sha256(interopBytes));
}

const python = (name: string): string => new URL(`python/${name}.py`, import.meta.url).pathname;

/** Algorithms of a stranger in Python. */
export async function pythonKnows(library: "paramiko" | "asyncssh"): Promise<Known> {
  const script = python(`${library}_client`);
  return JSON.parse(await succeed(debianPython, ["-W", "ignore", script, "--list"])) as Known;
}

export interface ClientAim {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly identity: string;
  readonly hostKeyLines: readonly string[];
}

interface ClientResult {
  readonly id: number;
  readonly error: string | null;
  readonly negotiated: string;
}

/** Runs a Python client over all cases in one process; each case is a subtest. */
export async function pythonClient(
  t: TestContext,
  library: "paramiko" | "asyncssh",
  aim: ClientAim,
  cases: readonly Case[],
): Promise<void> {
  const hostKeys = aim.hostKeyLines.map((line) => line.split(" ")[1]);
  const lines = cases.map((choice, id) => JSON.stringify({ id, ...aim, hostKeys, ...choice }));
  const { stdout, stderr } = await run(debianPython, ["-W", "ignore", python(`${library}_client`)], {
    stdin: { data: `${lines.join("\n")}\n` },
    deadlineMs: 240_000,
  });
  const results = stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ClientResult);
  for (const [id, choice] of cases.entries()) {
    await t.test(titleOf(choice), () => {
      const result = results.find((each) => each.id === id);
      assert.equal(result?.error, null, `${result?.error ?? "no result"}\n${stderr.slice(-500)}`);
    });
  }
}

/** Starts a Python server with a listener for each case; gives their ports in the order of the cases. */
export async function pythonServer(
  library: "paramiko" | "asyncssh",
  world: World,
  cases: readonly Case[],
): Promise<{ readonly child: Child; readonly ports: readonly number[] }> {
  const hostKeys = Object.fromEntries(
    Object.entries(keyKindOf).map(([algorithm, kind]) => [algorithm, world.keys.key(kind, "host").path]),
  );
  const plan = {
    hostKeys,
    authorizedKeys: `${world.gatewayKey.publicLine}\n`,
    cases: cases.map((choice, id) => ({ id, ...choice })),
  };
  const child = new Child(debianPython, ["-W", "ignore", python(`${library}_server`), JSON.stringify(plan)]);
  const ports = await child.waitFor("all listeners", () => {
    const lines = child.stdout.toString().split("\n").slice(0, -1);
    return lines.length >= cases.length && lines.map((line) => (JSON.parse(line) as { port: number }).port);
  });
  return { child, ports };
}

/** Where clients find the interop gateway. */
export function aimAt(world: World): ClientAim {
  const { host, port, user } = world.gateway.target(world.user.name);
  const hostKeyLines = world.gateway.hostKeys.map((key) => bareKey(readFileSync(`${key.path}.pub`, "utf8")));
  return { host, port, user, identity: world.identity.path, hostKeyLines };
}
