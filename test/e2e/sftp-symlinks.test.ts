/** A host that takes the paths of SYMLINK in the order of whoever asks: a link is made where it was looked at, by every client. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { run } from "#test/support/child";
import { type Gateway, startGateway } from "#test/support/gateway";
import { sshPlace, sshSettings } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { type TestKeys, testKeys } from "#test/support/test-keys";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh");

/** What is used of ssh2, which has no types. */
interface Emitter {
  on(event: string, then: (...values: never[]) => void): Emitter;
}
interface Sftp extends Emitter {
  status(id: number, code: number): void;
  name(id: number, names: readonly object[]): void;
  attrs(id: number, attrs: object): void;
  end(): void;
}
interface Server extends Emitter {
  listen(port: number, host: string, then: () => void): void;
  address(): AddressInfo;
  close(): void;
}
interface Ssh2 {
  readonly Server: new (options: object, client: (client: Emitter) => void) => Server;
}
const { Server } = createRequire(import.meta.url)("ssh2") as Ssh2;

const ok = 0;
const noSuchFile = 2;
const folder = 0o40755;
let keys: TestKeys;
let host: Server;
let gateway: Gateway;
/** Links that the host was asked for, as it understood it. */
const made: { readonly target: string; readonly link: string }[] = [];

function serve(sftp: Sftp): void {
  const stat = (id: number, path: string): void => {
    if (path === "/" || path === "/srv") sftp.attrs(id, { mode: folder });
    else sftp.status(id, noSuchFile);
  };
  sftp
    .on("end", () => sftp.end())
    .on("REALPATH", (id: number, path: string) =>
      sftp.name(id, [{ filename: path, longname: path, attrs: {} }]),
    )
    .on("STAT", stat)
    .on("LSTAT", stat)
    .on("SYMLINK", (id: number, link: string, target: string) => {
      made.push({ link, target });
      sftp.status(id, ok);
    });
}

before(async () => {
  if (skip !== false) return;
  keys = await testKeys();
  const identity = keys.key("ed25519", "client");
  const hostKey = keys.key("ed25519", "host");
  host = new Server({ hostKeys: [readFileSync(hostKey.path)] }, (client) => {
    client
      .on("error", () => {})
      .on("authentication", (context: { accept(): void }) => context.accept())
      .on("session", (accept: () => Emitter) => {
        accept().on("sftp", (take: () => Sftp) => serve(take()));
      });
  });
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  const upstream = {
    addresses: [`127.0.0.1:${host.address().port}`],
    user: "files",
    credentials: [{ kind: "none" }],
    hostKey: { fingerprints: [hostKey.fingerprint] },
  };
  const login = [keyLogin(identity)];
  gateway = await startGateway({
    rules: [
      { name: "rooted", match: { user: "rooted" }, login, upstream, sftp: { root: "/srv" } },
      {
        name: "tree",
        match: { user: "tree" },
        login,
        sftp: { mounts: [{ at: "/in", root: "/srv", upstream }] },
      },
    ],
  });
});
after(async () => {
  await gateway?.[Symbol.asyncDispose]();
  host?.close();
  await keys?.[Symbol.asyncDispose]();
});

for (const [user, at] of [
  ["rooted", ""],
  ["tree", "/in"],
] as const) {
  test(`OpenSSH's sftp, ${user}`, { skip }, async () => {
    const target = gateway.target(user, keys.key("ed25519", "client").path);
    made.length = 0;
    const { code, stderr } = await run(
      "sftp",
      [...sshSettings(target), "-P", String(target.port), "-b", "-", sshPlace(target)],
      { stdin: { data: `ln -s ${at}/text ${at}/name\n` } },
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(made, [{ link: "/srv/name", target: "/srv/text" }]);
  });

  test(`paramiko, ${user}`, { skip: skip || missing("paramiko") }, async () => {
    const target = gateway.target(user, keys.key("ed25519", "client").path);
    made.length = 0;
    const script = `
import paramiko, sys
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("${target.host}", ${target.port}, "${target.user}", key_filename="${keys.key("ed25519", "client").path}", allow_agent=False, look_for_keys=False)
client.open_sftp().symlink("${at}/text", "${at}/name")
`;
    const { code, stderr } = await run(stranger("python3"), ["-c", script]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(made, [{ link: "/srv/name", target: "/srv/text" }]);
  });
}
