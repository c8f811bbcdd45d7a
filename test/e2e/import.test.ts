/** What `postern import` writes runs, and does what the other program was meant to do. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Pieces } from "#test/support/gateway";
import { type Imported, python, runImported } from "#test/support/imported";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, type KeyFiles } from "#test/support/test-keys";
import { needsRoot } from "#test/support/test-user";
import { type Parts, startParts } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;

let parts: Parts & AsyncDisposable;
let pysshrp: Imported;
let sshpiper: Imported;

before(async () => {
  if (skip !== false) return;
  parts = await startParts({ sshd: { config: ["PasswordAuthentication yes", "MaxAuthTries 20"] } });
  const { user, sshd, gatewayKey, identity } = parts;
  const upstream = { upstream_host: sshd.host, upstream_port: sshd.port, upstream_user: user.name };
  const stored = { upstream_password: user.password ?? "" };
  // In pysshrp's order: of the expressions, the last that matches wins; an exact name wins over all.
  const servers: Pieces[] = [
    { user: "^web(?P<last>[0-9])$", ...upstream, upstream_host: "127.0.0.\\g<last>" },
    { user: "^late", ...upstream, upstream_host: "unreachable.invalid" },
    { user: "^late[0-9]", ...upstream },
    { user: "^exact", ...upstream, upstream_host: "unreachable.invalid" },
    { user: "through", ...upstream },
    { user: "exact", ...upstream },
    { user: "exact", ...upstream, upstream_host: "unreachable.invalid" },
    { user: "local", password: "local secret", ...upstream, ...stored },
    { user: "any", ...upstream, ...stored },
    { user: "files", ...upstream, allow_ssh: false },
    { user: "shells", ...upstream, allow_sftp: false },
  ];
  pysshrp = await runImported(
    "pysshrp",
    ({ port, hostKey }) =>
      [
        "# the gateway",
        `listen = '127.0.0.1:${port}'`,
        `key = '${hostKey}'`,
        "level = 'INFO'",
        `servers = [\n${servers.map((server) => `\t${python(server)},\n`).join("")}]`,
        "",
      ].join("\n"),
    { exitCode: 3 },
  );
  sshpiper = await runImported(
    "sshpiper",
    ({ folder }) =>
      JSON.stringify({
        version: "1.0",
        pipes: [
          {
            from: [{ username: "simple" }],
            to: { host: `${sshd.host}:${sshd.port}`, username: user.name, known_hosts: sshd.knownHosts },
          },
          {
            from: [{ username: "^to-(.*)$", username_regex_match: true }],
            to: { host: `${sshd.host}:${sshd.port}`, username: "$1", ignore_hostkey: true },
          },
          {
            from: [
              {
                username: "key",
                authorized_keys_data: Buffer.from(`${identity.publicLine}\n`).toString("base64"),
              },
              { username: "key" },
            ],
            to: { host: `${sshd.host}:${sshd.port}`, username: user.name, private_key: gatewayKey.path },
          },
          {
            from: [
              { username: "certified", trusted_user_ca_keys: `${parts.keys.key("ed25519", "ca").path}.pub` },
            ],
            to: { host: `${sshd.host}:${sshd.port}`, username: user.name, private_key: gatewayKey.path },
          },
          {
            from: [{ username: "listed", authorized_keys: "listed" }],
            to: {
              host: `${sshd.host}:${sshd.port}`,
              username: user.name,
              private_key_data: readFileSync(gatewayKey.path, "base64"),
              known_hosts_data: readFileSync(sshd.knownHosts, "base64"),
            },
          },
          {
            from: [{ username: "open" }],
            to: { host: `${sshd.host}:${sshd.port}`, username: user.name, private_key: gatewayKey.path },
          },
          {
            from: [{ username: "wrong-host" }],
            to: {
              host: `${sshd.host}:${sshd.port}`,
              username: user.name,
              known_hosts: folder.at("known_hosts"),
            },
          },
        ],
      }),
    {
      flags: ({ port, hostKey }) => ["--listen", `127.0.0.1:${port}`, "--host-key", hostKey],
      exitCode: 3,
      files: { listed: `from="203.0.113.0/24" ${parts.identity.publicLine}\n` },
    },
  );
});
after(async () => {
  await sshpiper?.[Symbol.asyncDispose]();
  await pysshrp?.[Symbol.asyncDispose]();
  await parts?.[Symbol.asyncDispose]();
});

async function login(
  { knownHosts, port }: Imported,
  user: string,
  password: string | undefined,
  command: readonly string[] = ["id -un"],
  flags: readonly string[] = [],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const target = { host: "127.0.0.1", port, user, knownHosts };
  const { code, stdout, stderr } = await runSsh(
    password === undefined ? { ...target, identity: parts.identity.path } : target,
    command,
    { ...(password === undefined ? {} : { passwords: [password] }), flags },
  );
  return { code, stdout: stdout.toString(), stderr };
}

async function entered(imported: Imported, user: string, password: string | undefined): Promise<void> {
  const { code, stdout, stderr } = await login(imported, user, password);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${parts.user.name}\n`);
}

async function refused(imported: Imported, user: string, password: string | undefined): Promise<void> {
  const { code, stdout, stderr } = await login(imported, user, password);
  assert.deepEqual([code, stdout], [255, ""], stderr);
  assert.match(stderr, /Permission denied/);
}

const password = (): string => parts.user.password ?? "";

test("pysshrp: the client's password goes to the upstream, under the upstream's user name", {
  skip,
}, async () => {
  await entered(pysshrp, "through", password());
  await refused(pysshrp, "through", "not it");
});

test("pysshrp: an exact name wins over expressions, and the first over the second", { skip }, async () => {
  await entered(pysshrp, "exact", password());
});

test("pysshrp: of the expressions the last that matches wins, and need not reach the name's end", {
  skip,
}, async () => {
  await entered(pysshrp, "late5.more", password());
});

test("pysshrp: captures are filled in although a later expression does not match", { skip }, async () => {
  await entered(pysshrp, "web1", password());
});

test("pysshrp: a name that no server has is refused", { skip }, async () => {
  await refused(pysshrp, "nobody", password());
});

test("pysshrp: a local password is checked here, and another one sent", { skip }, async () => {
  await entered(pysshrp, "local", "local secret");
  await refused(pysshrp, "local", password());
});

test("pysshrp: no password stands in the result, and its file is for the owner alone", { skip }, async () => {
  for (const secret of ["local secret", password()]) assert.ok(!pysshrp.text.includes(secret));
  const file = pysshrp.folder.at("new/secrets/local.password");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(pysshrp.folder.at("new/postern.yaml"))).mode & 0o777, 0o600);
  assert.equal(await readFile(file, "utf8"), `${password()}\n`);
});

test("pysshrp: where any password logged in, none does", { skip }, async () => {
  await refused(pysshrp, "any", "anything");
  await refused(pysshrp, "any", password());
});

test("pysshrp: the upstream's host key is kept when first seen", { skip }, async () => {
  await entered(pysshrp, "through", password());
  const known = await readFile(pysshrp.folder.at("new/state/known_hosts"), "utf8");
  assert.match(known, new RegExp(`^\\[127\\.0\\.0\\.1\\]:${parts.sshd.port} ssh-ed25519 `, "m"));
});

test("pysshrp: allow_ssh = False leaves SFTP, allow_sftp = False leaves the shell", { skip }, async () => {
  const command = await login(pysshrp, "files", password());
  assert.notEqual(command.code, 0);
  assert.equal(command.stdout, "");
  const files = await login(pysshrp, "files", password(), ["sftp"], ["-s"]);
  assert.doesNotMatch(files.stderr, /subsystem request failed/);
  await entered(pysshrp, "shells", password());
  const sftp = await login(pysshrp, "shells", password(), ["sftp"], ["-s"]);
  assert.match(sftp.stderr, /subsystem request failed/);
});

test("sshpiper: the client's password goes to the upstream", { skip }, async () => {
  await entered(sshpiper, "simple", password());
  await refused(sshpiper, "simple", "not it");
});

test("sshpiper: a group of the expression is the upstream's user name", { skip }, async () => {
  await entered(sshpiper, `to-${parts.user.name}`, password());
});

test("sshpiper: a listed key logs in with the stored key", { skip }, async () => {
  await entered(sshpiper, "key", undefined);
});

test("sshpiper: certificates of the authorities that it trusted, for the name alone", { skip }, async () => {
  const { keys } = parts;
  const [ca, other] = [keys.key("ed25519", "ca"), keys.key("ed25519", "other-ca")];
  const person = keys.key("ed25519", "certified");
  const tries = async (
    authority: KeyFiles,
    principals: readonly string[],
    ...more: readonly string[]
  ): Promise<number | null> => {
    const certificate = certify(authority, person, { principals, more });
    const { knownHosts, port } = sshpiper;
    const target = { host: "127.0.0.1", port, user: "certified", knownHosts, identity: person.path };
    const { code } = await runSsh(target, ["true"], { options: [`CertificateFile=${certificate}`] });
    return code;
  };
  const name = ["certified"];
  assert.equal(await tries(ca, name), 0);
  assert.equal(await tries(other, name), 255, "of another authority");
  assert.equal(await tries(ca, ["root"]), 255, "for somebody else");
  // sshpiper took one that names nobody for anybody's.
  assert.equal(await tries(ca, []), 255, "for nobody");
  assert.equal(await tries(ca, name, "-V", "20200101:20200102"), 255, "out of its time");
  assert.equal(await tries(ca, name, "-O", "source-address=203.0.113.0/24"), 255, "from elsewhere");
});

test("sshpiper: options in a file of keys are obeyed; keys and known hosts may stand in the text", {
  skip,
}, async () => {
  await refused(sshpiper, "listed", undefined);
  await writeFile(sshpiper.folder.at("old/listed"), `from="127.0.0.0/8" ${parts.identity.publicLine}\n`);
  await entered(sshpiper, "listed", undefined);
});

test("sshpiper: where any password opened a stored key, none does", { skip }, async () => {
  await refused(sshpiper, "key", "anything");
  await refused(sshpiper, "open", "anything");
});

test("sshpiper: a host key that known_hosts does not have is refused", { skip }, async () => {
  const { code } = await login(sshpiper, "wrong-host", password());
  assert.equal(code, 255);
  await sshpiper.gateway.waitForLog("why", (line) => /UPSTREAM_HOST_KEY/.test(JSON.stringify(line)));
});
