/** ssh_config files mean to us what they mean to ssh: its own `-G` says what that is. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { type HostSettings, readSettings } from "#client";
import { run } from "#test/support/child";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";

const runs = Number(process.env["FUZZ_RUNS"] ?? 150);

const skip = missing("ssh");

/** What we compare, by ssh's own names. */
function ours(settings: HostSettings): Record<string, string> {
  return {
    hostname: settings.hostName,
    port: String(settings.port),
    user: settings.user,
    identitiesonly: settings.identitiesOnly ? "yes" : "no",
    serveraliveinterval: String(settings.serverAliveSeconds),
    proxyjump: settings.proxyJump ?? "",
    proxycommand: settings.proxyCommand ?? "",
    hostkeyalias: settings.hostKeyAlias ?? "",
    identityfile: (settings.identityFiles ?? []).join(" "),
    userknownhostsfile: settings.knownHosts.filter((file) => !file.startsWith("/etc/")).join(" "),
    requesttty: settings.requestTerminal,
    certificatefile: settings.certificateFiles.join(" "),
    dynamicforward: settings.dynamicForwards.join(", "),
    setenv: settings.setEnvironment.join(" "),
    sendenv: settings.sendEnvironment.join(" "),
  };
}

async function theirs(file: string, host: string): Promise<Record<string, string> | undefined> {
  const { code, stdout } = await run(stranger("ssh"), ["-G", "-F", file, host]);
  if (code !== 0) return undefined;
  const values = new Map<string, string[]>();
  for (const line of stdout.toString().split("\n")) {
    const [, keyword = "", value = ""] = /^(\S+) (.*)$/.exec(line) ?? [];
    values.set(keyword, [...(values.get(keyword) ?? []), value]);
  }
  const one = (keyword: string): string => values.get(keyword)?.[0] ?? "";
  const home = (text: string): string => text.replaceAll(/(?<=^| )~(?=\/)/g, homedir());
  const files = (values.get("identityfile") ?? []).join(" ");
  return {
    hostname: one("hostname"),
    port: one("port"),
    user: one("user"),
    identitiesonly: one("identitiesonly"),
    serveraliveinterval: one("serveraliveinterval"),
    proxyjump: one("proxyjump"),
    // It prints commands with tokens as they are.
    proxycommand: one("proxycommand"),
    hostkeyalias: one("hostkeyalias"),
    // Without any, it shows the usual ones.
    identityfile: files.includes("id_ed25519_sk") ? "" : home(files),
    userknownhostsfile: home(one("userknownhostsfile")),
    requesttty: { true: "yes", false: "no" }[one("requesttty")] ?? one("requesttty"),
    certificatefile: (values.get("certificatefile") ?? []).join(" "),
    dynamicforward: (values.get("dynamicforward") ?? []).join(", "),
    setenv: (values.get("setenv") ?? []).join(" "),
    // It prints a name each time that it was read; once or twice is the same.
    sendenv: [...new Set(values.get("sendenv"))].join(" "),
  };
}

const lines = [
  "Host web1",
  "Host web* !web2",
  "Host *",
  "Host other ?eb1",
  "Match user ada",
  "Match host *.lan",
  "Match originalhost web1 !user bob",
  "Match all",
  "Match final host *.lan",
  "User ada",
  "User bob",
  "Port 2222",
  "Port=22",
  "HostName %h.lan",
  "HostName 192.0.2.7",
  "IdentityFile /a",
  'IdentityFile "/b c"',
  "IdentityFile ~/d",
  "IdentitiesOnly yes",
  "IdentitiesOnly no # here",
  "ServerAliveInterval 1m",
  "ServerAliveInterval = 15",
  "ProxyJump jump",
  "ProxyJump none",
  "ProxyCommand nc x 22",
  "ProxyCommand none",
  "HostKeyAlias alias",
  "UserKnownHostsFile /k1 /k2",
  "RequestTTY force",
  "CertificateFile /c",
  "DynamicForward 1080",
  "DynamicForward 1081",
  "SetEnv A=1 B=2",
  "SetEnv C=3",
  "SendEnv LANG",
  "SendEnv TZ LANG",
  "  # nothing",
  "",
];

test("any order of lines gives the same settings as ssh -G", { skip }, async () => {
  await using folder = await tempDir();
  const file = folder.at("config");
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...lines), { maxLength: 14 }),
      fc.constantFrom("web1", "web2", "a.lan"),
      async (chosen, host) => {
        await writeFile(file, `${chosen.join("\n")}\n`);
        const wanted = await theirs(file, host);
        const found = await readSettings({ host, overrides: [], configFile: file, environment: {} }).then(
          ours,
          (error: unknown) => {
            assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
            return undefined;
          },
        );
        assert.deepEqual(found, wanted);
        compared += 1;
      },
    ),
    { numRuns: runs },
  );
  assert.ok(compared >= runs);
});
