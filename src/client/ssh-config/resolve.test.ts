import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import { type ConfigPorts, type ConfigValues, resolveConfig } from "./resolve.ts";

interface Given {
  readonly host?: string;
  readonly overrides?: readonly { readonly keyword: string; readonly value: string }[];
  readonly files?: Readonly<Record<string, string>>;
  readonly commands?: readonly string[];
}

interface Read {
  readonly values: ConfigValues;
  readonly notices: readonly string[];
  readonly ran: readonly string[];
}

async function read(
  text: string,
  { host = "web1", overrides = [], files = {}, commands = [] }: Given = {},
): Promise<Read> {
  const notices: string[] = [];
  const ran: string[] = [];
  const all: Readonly<Record<string, string>> = { "/home/ada/.ssh/config": text, ...files };
  const ports: ConfigPorts = {
    account: { user: "ada", uid: 1000, home: "/home/ada", hostName: "desk.example" },
    environment: { PART: "here" },
    read: async (path) => all[path],
    glob: async (pattern) => {
      const start = pattern.replace(/\*.*$/, "");
      return pattern.includes("*")
        ? Object.keys(all)
            .filter((path) => path.startsWith(start))
            .sort()
        : [pattern];
    },
    succeeds: async (command) => ran.push(command) > 0 && commands.includes(command),
    notice: (notice) => notices.push(notice),
  };
  const file = { path: "/home/ada/.ssh/config", includeFolder: "/home/ada/.ssh", required: true };
  return { values: await resolveConfig({ host, overrides }, [file], ports), notices, ran };
}

async function values(text: string, given?: Given): Promise<Record<string, readonly string[]>> {
  return Object.fromEntries((await read(text, given)).values);
}

test("the first value wins, lists grow, keywords have any case and form", async () => {
  const text = `
    # a comment
    user=first
    USER second
    Port = 2222 # here
    IdentityFile ~/.ssh/a
    Host web*
      "IdentityFile" "b c"
      HostName %h.lan
    Host *
      User third
      IdentityFile d\\ e
      ProxyCommand nc "%h" %p # no comment
  `;
  assert.deepEqual(await values(text), {
    user: ["first"],
    port: ["2222"],
    identityfile: ["~/.ssh/a", "b c", "d e"],
    hostname: ["%h.lan"],
    proxycommand: ['nc "%h" %p # no comment'],
    proxyjump: ["none"],
  });
});

test("Host: any pattern of the line, none of the negated ones", async () => {
  const text = "Host *.lan !bad.lan WEB1\n User yes\nHost *\n User no\n";
  for (const [host, user] of [
    ["web1", "yes"],
    ["a.lan", "yes"],
    ["bad.lan", "no"],
    ["WEB2", "no"],
  ] as const) {
    assert.deepEqual((await values(text, { host }))["user"], [user], host);
  }
});

test("Match: all conditions, negation, what is known by then, and exec only where it matters", async () => {
  const text = `
    Match originalhost web1 user ada
      HostName real.lan
    Match host real.lan !user bob exec "test %h %r %n"
      Port 1
    Match host web1 exec "never"
      Port 2
    Match localuser=ada
      IdentitiesOnly yes
    Match all
      Port 3
  `;
  const { values: found, ran } = await read(text, { commands: ["test real.lan ada web1"] });
  assert.deepEqual(found.get("port"), ["1"]);
  assert.deepEqual(found.get("identitiesonly"), ["yes"]);
  assert.deepEqual(ran, ["test real.lan ada web1"]);
  assert.deepEqual((await values(text))["port"], ["3"]);
});

test("Match final is about what the first reading found", async () => {
  const text =
    "Match final host *.lan\n Port 7\n IdentityFile two\nHost web1\n HostName a.lan\n Port 8\n IdentityFile one\n";
  const found = await values(text);
  assert.deepEqual(found["port"], ["8"], "what the first reading found stays");
  assert.deepEqual(found["identityfile"], ["one", "two"], "lists are added to, each line once");
});

test("Include: where it stands, by pattern, relative, with a variable, and not for other hosts", async () => {
  const files = {
    "/home/ada/.ssh/conf.d/a": "User fromA\nHost other\n Port 5\n",
    "/home/ada/.ssh/conf.d/b": "Port 6\n",
    "/etc/here": "IdentityFile x\n",
    "/never": "broken 'quote",
  };
  const text =
    "Include conf.d/*\nHost nobody\n Include /never\nHost web1\n Include /etc/${PART}\nHost *\n Port 9\n";
  assert.deepEqual(await values(text, { files }), { user: ["fromA"], port: ["6"], identityfile: ["x"] });
});

test("ProxyJump and ProxyCommand: the first of the two switches the other off", async () => {
  assert.deepEqual(await values("ProxyJump a\nProxyCommand b\n"), {
    proxyjump: ["a"],
    proxycommand: ["none"],
  });
  assert.deepEqual(await values("ProxyCommand b\n", { overrides: [{ keyword: "ProxyJump", value: "a" }] }), {
    proxyjump: ["a"],
    proxycommand: ["none"],
  });
});

test("what OpenSSH knows and we do not use is quiet; what nobody knows is told once; IgnoreUnknown is obeyed", async () => {
  const { notices } = await read(
    "ForwardAgent yes\nNonsense 1\nNonsense 1\nIgnoreUnknown Use*\nUseMagic no\n",
  );
  assert.deepEqual(notices, [
    '/home/ada/.ssh/config:2: "Nonsense" is not known here and changes nothing.',
    '/home/ada/.ssh/config:3: "Nonsense" is not known here and changes nothing.',
  ]);
});

test("what was typed is told of as it was typed, and has no line", async () => {
  const { notices } = await read("", { overrides: [{ keyword: "NonSense", value: "1" }] });
  assert.deepEqual(notices, ['On the command line: "NonSense" is not known here and changes nothing.']);
  await assert.rejects(read("", { overrides: [{ keyword: "Port", value: "" }] }), {
    detail: 'On the command line: "Port" needs a value.',
  });
});

for (const [text, line] of [
  ["Host\n", 1],
  ["\nMatch\n", 2],
  ["Match host\n", 1],
  ["Match nonsense x\n", 1],
  ["User\n", 1],
  ["User 'ada\n", 1],
  ["= x\n", 1],
  ["Include\n", 1],
  ["Include config\n", 1],
] as const) {
  test(`${JSON.stringify(text)} is refused with its line`, async () => {
    await assert.rejects(read(text), (error) => {
      assert.ok(error instanceof PosternError);
      assert.equal(error.code, "OPERATOR_CLIENT_CONFIG");
      return (error.detail ?? "").startsWith(`/home/ada/.ssh/config:${line}: `);
    });
  });
}
