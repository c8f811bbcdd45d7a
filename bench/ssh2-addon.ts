import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { succeed } from "#test/support/child";
import { repository } from "#test/support/gateway";
import { programPath } from "#test/support/strangers";

/** Below the repository, so that it finds the same dependencies; git ignores it. */
const folder = join(repository, "build", "bench-ssh2");
const modules = join(repository, "node_modules");
const release = join(folder, "lib", "protocol", "crypto", "build", "Release");
/** The Node that the addon there was built for. */
const builtFor = join(release, "node-version");
const source = join("lib", "protocol", "crypto", "src", "binding.cc");

/** Node's headers: of the folder that npm's `nodedir` names, of the installation that runs this, or of npm's package of Node. */
function headers(): string | undefined {
  const arch = `node-linux-${process.arch}`;
  const roots = [
    process.env["npm_config_nodedir"],
    dirname(dirname(process.execPath)),
    join(modules, arch),
    join(modules, "node", "node_modules", arch),
  ];
  return roots
    .flatMap((root) => (root === undefined ? [] : [join(root, "include", "node")]))
    .find((each) => versionOf(each) === process.versions.node);
}

/** As the headers say it; undefined of none. */
function versionOf(include: string): string | undefined {
  const file = join(include, "node_version.h");
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  const part = (name: string): string =>
    new RegExp(`define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1] ?? "";
  return `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
}

function isBuilt(): boolean {
  return existsSync(builtFor) && readFileSync(builtFor, "utf8") === process.versions.node;
}

/** Why ssh2 cannot be had with its addon here; undefined: it can. */
export function whyNoSsh2Addon(): string | undefined {
  if (isBuilt()) return undefined;
  if (programPath("g++") === undefined) return "g++ is not on the PATH";
  if (headers() !== undefined) return undefined;
  return `the headers of Node ${process.versions.node} are not here (npm_config_nodedir says where they are)`;
}

let made: Promise<string> | undefined;

/** A copy of ssh2 whose addon is built for this Node; gives its folder. */
export function ssh2WithAddon(): Promise<string> {
  made ??= isBuilt() ? Promise.resolve(folder) : build(headers() ?? "");
  return made;
}

async function build(include: string): Promise<string> {
  const from = join(modules, "ssh2");
  const filter = (path: string): boolean => !path.endsWith(join("crypto", "build"));
  cpSync(from, folder, { recursive: true, filter });
  // V8 has no such method any more; ssh2 1.17 still calls it, and means this.
  const text = readFileSync(join(folder, source), "utf8");
  writeFileSync(join(folder, source), text.replaceAll("context->GetIsolate()", "v8::Isolate::GetCurrent()"));
  mkdirSync(release, { recursive: true });
  const major = process.versions.openssl.split(".")[0] ?? "";
  const defines = [
    "NODE_GYP_MODULE_NAME=sshcrypto",
    "BUILDING_NODE_EXTENSION",
    "OPENSSL_API_COMPAT=0x10100000L",
    `REAL_OPENSSL_MAJOR=${major}`,
  ];
  const flags = "-shared -fPIC -O3 -std=gnu++20 -w".split(" ");
  await succeed("g++", [
    ...flags,
    ...[include, join(modules, "nan")].map((each) => `-I${each}`),
    ...defines.map((each) => `-D${each}`),
    "-o",
    join(release, "sshcrypto.node"),
    join(folder, source),
  ]);
  writeFileSync(builtFor, process.versions.node);
  return folder;
}
