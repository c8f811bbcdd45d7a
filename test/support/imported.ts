import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Gateway, type GatewayOptions, type Pieces, postern, startGateway } from "./gateway.ts";
import { freePort } from "./ports.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";
import { type KeyKind, knownHostsLine, makeKey } from "./test-keys.ts";

/** A gateway that runs with what `postern import` wrote. */
export interface Imported extends AsyncDisposable {
  /** `old/config` is what was imported, `new/postern.yaml` what came of it. */
  readonly folder: TempDir;
  readonly gateway: Gateway;
  readonly port: number;
  readonly text: string;
  /** A known_hosts file with its host key. */
  readonly knownHosts: string;
}

/** Where the old configuration says that it listens, and its host key. */
export interface OldGateway {
  readonly folder: TempDir;
  readonly port: number;
  readonly hostKey: string;
}

export interface RunImportedOptions {
  /** Of `postern import`. */
  readonly flags?: (old: OldGateway) => readonly string[];
  readonly exitCode?: number;
  /** More files of the old configuration, by their path beside it. */
  readonly files?: Readonly<Record<string, string>>;
  readonly hostKey?: { readonly kind: KeyKind; readonly flags: readonly string[] };
  readonly env?: GatewayOptions["env"];
  /** Done before the gateway starts. */
  readonly prepare?: (folder: TempDir) => Promise<void>;
}

/** Imports a file that `write` makes, and starts a gateway with nothing but the result. */
export async function runImported(
  program: string,
  write: (old: OldGateway) => string,
  options: RunImportedOptions = {},
): Promise<Imported> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const port = await freePort();
  const { kind = "ed25519", flags: keyFlags = [] } = options.hostKey ?? {};
  const key = makeKey(folder.at("host_key"), kind, "", keyFlags);
  const old: OldGateway = { folder, port, hostKey: key.path };
  const knownHosts = folder.at("known_hosts");
  await writeFile(knownHosts, `${knownHostsLine("127.0.0.1", port, key.publicLine)}\n`);
  for (const [path, content] of Object.entries({ config: write(old), ...options.files })) {
    await mkdir(dirname(folder.at(`old/${path}`)), { recursive: true });
    await writeFile(folder.at(`old/${path}`), content);
  }
  const output = folder.at("new/postern.yaml");
  const flags = options.flags?.(old) ?? [];
  const { code, stderr } = await postern([
    "import",
    program,
    folder.at("old/config"),
    "-o",
    output,
    ...flags,
  ]);
  assert.equal(code, options.exitCode ?? 0, stderr);
  await options.prepare?.(folder);
  const env = options.env === undefined ? {} : { env: options.env };
  const gateway = stack.use(await startGateway({ flags: ["-c", output], ...env }));
  const text = await readFile(output, "utf8");
  const owned = stack.move();
  return { folder, gateway, port, text, knownHosts, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Python's literals of JSON's values. */
export function python(value: Pieces): string {
  return JSON.stringify(value).replaceAll(":true", ":True").replaceAll(":false", ":False");
}
