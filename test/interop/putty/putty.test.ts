/** PuTTY's tools as clients of the gateway: plink over the algorithms both know, and psftp. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { run, succeed, type Outcome } from "#test/support/child";
import { sha256 } from "#test/support/data";
import { interopBytes, startInterop } from "#test/support/interop";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import type { KeyKind } from "#test/support/test-keys";
import type { World } from "#test/support/world";

/** PuTTY's names in the order of its own settings; what is to be used is put first. */
const lists = {
  KEX: [
    "ntru-curve25519",
    "ecdh",
    "dh-group18-sha512",
    "dh-group17-sha512",
    "dh-group16-sha512",
    "dh-group15-sha512",
    "dh-gex-sha1",
    "dh-group14-sha1",
    "rsa",
  ],
  Cipher: ["aes", "chacha20", "aesgcm", "3des"],
  HostKey: ["ed25519", "ecdsa", "rsa", "ed448", "dsa"],
} as const;
type List = keyof typeof lists;

/** What plink -v says when that choice is in use. */
const cases: readonly (readonly [list: List, name: string, said: RegExp, kind?: KeyKind])[] = [
  ["KEX", "ecdh", /ECDH key exchange with curve Curve25519/],
  ["KEX", "dh-group18-sha512", /8192-bit|group18|Diffie-Hellman/i],
  ["KEX", "dh-group16-sha512", /4096-bit|group16|Diffie-Hellman/i],
  // The name is of the first of its kind; SHA-256 is what both know.
  ["KEX", "dh-group14-sha1", /SHA-256/],
  ["KEX", "dh-gex-sha1", /group exchange.*SHA-256|SHA-256.*group exchange/is],
  ["Cipher", "aes", /AES-256 SDCTR/],
  ["Cipher", "aesgcm", /AES-\d+ GCM/],
  ["Cipher", "chacha20", /ChaCha20/],
  ["HostKey", "ed25519", /ssh-ed25519/, "ed25519"],
  ["HostKey", "ecdsa", /ecdsa-sha2-nistp/, "ecdsa-256"],
  ["HostKey", "rsa", /ssh-rsa|rsa-sha2/, "rsa"],
];

async function session(folder: TempDir, list: List, name: string): Promise<string> {
  const lines = Object.entries(lists).map(([each, names]) => {
    const order = each === list ? [name, ...names.filter((other) => other !== name)] : names;
    return `${each}=${order.join(",")},WARN`;
  });
  await mkdir(folder.at("sessions"), { recursive: true });
  await writeFile(folder.at("sessions", `${list}-${name}`), `${lines.join("\n")}\n`);
  return `${list}-${name}`;
}

async function putty(
  tool: "plink" | "psftp",
  world: World,
  folder: TempDir,
  flags: readonly string[],
  more: { readonly command?: readonly string[]; readonly data?: Uint8Array } = {},
): Promise<Outcome> {
  const { host, port, user } = world.gateway.target(world.user.name);
  const hostKeys = world.gateway.hostKeys.flatMap((key) => ["-hostkey", key.fingerprint]);
  const common = ["-v", "-batch", "-P", String(port), "-l", user, "-i", folder.at("client.ppk"), ...hostKeys];
  return await run(stranger(tool), [...flags, ...common, host, ...(more.command ?? [])], {
    env: { PUTTYDIR: folder.path, HOME: folder.path },
    ...(more.data === undefined ? {} : { stdin: { data: more.data } }),
  });
}

const skip = missing("ssh", "sshd", "plink", "psftp", "puttygen");

test("PuTTY as client", { skip, timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  await using folder = await tempDir();
  await succeed(stranger("puttygen"), [world.identity.path, "-O", "private", "-o", folder.at("client.ppk")]);
  for (const [list, name, said] of cases) {
    await t.test(`plink: ${list} ${name}`, async () => {
      const load = ["-load", await session(folder, list, name)];
      const { code, stdout, stderr } = await putty("plink", world, folder, load, {
        command: ["cat; exit 7"],
        data: interopBytes,
      });
      assert.equal(code, 7, stderr);
      assert.equal(sha256(stdout), sha256(interopBytes));
      assert.match(stderr, said);
    });
  }

  await t.test("psftp: up and down again", async () => {
    await writeFile(folder.at("up"), interopBytes);
    const there = `${world.user.home}/psftp-file`;
    const script = [`put ${folder.at("up")} ${there}`, `get ${there} ${folder.at("down")}`, `rm ${there}`];
    await writeFile(folder.at("script"), `${script.join("\n")}\n`);
    const { code, stderr } = await putty("psftp", world, folder, ["-b", folder.at("script")]);
    assert.equal(code, 0, stderr);
    assert.equal(sha256(await readFile(folder.at("down"))), sha256(interopBytes));
  });
});
