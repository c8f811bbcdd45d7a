import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate } from "#base";
import type { Policy, Restrictions } from "#contract";
import { nothingAllowed as nothing } from "#test/support/policies";
import type { Asked } from "./asked.ts";
import { fitsCommand, isScp, Permissions, type Someone } from "./permissions.ts";

const unrestricted: Restrictions = {
  of: "key",
  pty: true,
  portForwarding: true,
  agentForwarding: true,
  x11Forwarding: true,
  environment: new Map(),
};
const ada: Someone = {
  session: "s1",
  user: "ada",
  from: "192.0.2.7",
  rule: "web",
  method: "publickey",
  by: "SHA256:x",
  captures: { user: "ada", id: "12" },
};

function permissions(
  policy: Partial<Policy> | undefined,
  ...restrictions: Partial<Restrictions>[]
): Permissions {
  const all = restrictions.map((each) => ({ ...unrestricted, ...each }));
  const found = Permissions.of(policy === undefined ? undefined : { ...nothing, ...policy }, all, ada);
  assert.ok(found);
  return found;
}

const exec = (command: string): Asked => ({ kind: "exec", command, bytes: Buffer.from(command) });
const to = (host: string, port: number): Asked => ({ kind: "forward-local", host, port });
const every: readonly Asked[] = [
  { kind: "shell" },
  exec("id"),
  { kind: "subsystem", name: "sftp" },
  { kind: "subsystem", name: "netconf" },
  { kind: "env", name: "LANG" },
  { kind: "pty", term: "xterm" },
  { kind: "x11" },
  { kind: "agent" },
  to("localhost", 80),
  { kind: "forward-local", path: "/run/x" },
  { kind: "forward-remote", host: "localhost", port: 80 },
  { kind: "forward-remote", path: "/run/x" },
  { kind: "tunnel", unit: 0 },
  { kind: "other" },
  { kind: "malformed" },
];

test("neither policy nor restrictions: nothing to look at", () => {
  assert.equal(Permissions.of(undefined, [], ada), undefined);
});

test("a policy refuses what it does not name, each with a sentence", () => {
  const none = permissions({});
  for (const asked of every) assert.match(none.refusal(asked) ?? "", /^[A-Z].*\.$/, JSON.stringify(asked));
  assert.equal(none.refusal({ kind: "session" }), undefined);
  assert.equal(none.refusal({ kind: "routine" }), undefined);
});

test("each key of a policy allows its own and nothing else", () => {
  const cases: readonly [Partial<Policy>, readonly number[]][] = [
    [{ shell: true }, [0]],
    [{ exec: true }, [1]],
    [{ exec: ["i?"] }, [1]],
    [{ exec: ["if"] }, []],
    [{ sftp: true }, [2]],
    [{ scp: true }, [2]],
    [{ subsystems: true }, [3]],
    [{ subsystems: ["net*"] }, [3]],
    [{ subsystems: ["*"] }, [3]],
    [{ env: ["L*"] }, [4]],
    [{ env: true }, [4]],
    [{ pty: true }, [5]],
    [{ x11: true }, [6]],
    [{ agent: true }, [7]],
    [{ forwardLocal: true }, [8, 9]],
    [{ forwardLocal: ["*"] }, [8, 9]],
    [{ forwardLocal: ["*:*"] }, [8]],
    [{ forwardLocal: ["/run/*"] }, [9]],
    [{ forwardRemote: true }, [10, 11]],
    [{ forwardRemote: ["localhost:80"] }, [10]],
    [{ forwardRemote: ["/run/?"] }, [11]],
    [{ other: true }, [12, 13]],
  ];
  for (const [policy, allowed] of cases) {
    const found = permissions(policy);
    const passed = [...every.keys()].filter((at) => found.refusal(every[at] ?? exec("")) === undefined);
    assert.deepEqual(passed, allowed, JSON.stringify(policy));
  }
});

test("a pattern for a command never stands for what a shell acts upon", () => {
  const fits = [
    ["git-upload-pack 'ada/x.git'", "git-upload-pack *"],
    ["rsync --server -e.x . /srv", "rsync --server *"],
    ["a | b", "a | b"],
    ["a x | b y", "a * | b *"],
    ["", ""],
  ];
  const not = [
    ["git-upload-pack x; rm -rf /", "git-upload-pack *"],
    ["git-upload-pack x\nrm -rf /", "git-upload-pack *"],
    ["git-upload-pack $(rm -rf /)", "git-upload-pack *"],
    ["git-upload-pack `id`", "git-upload-pack *"],
    ["git-upload-pack x && id", "git-upload-pack *"],
    ["git-upload-pack x > /etc/passwd", "git-upload-pack *"],
    ["a;b", "a?b"],
    ["a;b;c", "a;*"],
    ["id ", "id"],
    [" id", "id"],
    ["ID", "id"],
  ];
  for (const [command = "", pattern = ""] of fits) assert.ok(fitsCommand(command, pattern), command);
  for (const [command = "", pattern = ""] of not) assert.ok(!fitsCommand(command, pattern), command);
});

test("scp's own commands are told from what only looks like them", () => {
  for (const command of [
    "scp -t .",
    "scp -f -- -x",
    "scp -v -r -p -t /srv/a b",
    "scp -rpt 'x y'",
    "scp -r -d -t -- x",
  ])
    assert.ok(isScp(command), command);
  for (const command of [
    "scp",
    "scp -t",
    "scp x y",
    "scp -S /bin/sh -t x",
    "scp -t x -S /bin/sh",
    "scp -oProxyCommand=id -t x",
    "scp -t x; id",
    "scp -t $(id)",
    "scp -t x\nid",
    "/tmp/scp -t x",
    "scp -t -S x",
  ])
    assert.ok(!isScp(command), command);
  assert.equal(permissions({ scp: true }).refusal(exec("scp -t .")), undefined);
  assert.ok(permissions({ sftp: true }).refusal(exec("scp -t .")));
});

test("places: hosts in any case and any spelling of an address, ports alone, in ranges, or any", () => {
  const found = permissions({
    forwardLocal: ["db.example.lan:5432", "10.0.0.*:8000-8099", "[2001:db8::1]:*"],
  });
  for (const [host, port] of [
    ["DB.example.lan", 5432],
    ["10.0.0.9", 8000],
    ["10.0.0.9", 8099],
    ["::ffff:10.0.0.9", 8050],
    ["2001:DB8:0::1", 1],
  ] as const)
    assert.equal(found.refusal(to(host, port)), undefined, host);
  for (const [host, port] of [
    ["db.example.lan", 5433],
    ["db.example.lan.", 5432],
    ["xdb.example.lan", 5432],
    ["10.0.0.9", 7999],
    ["10.0.0.9", 8100],
    ["10.0.1.9", 8000],
    ["2001:db8::2", 1],
    ["", 5432],
  ] as const)
    assert.equal(
      found.refusal(to(host, port)),
      `Connections to ${host.includes(":") ? `[${host}]` : host || "*"}:${port} are not allowed here.`,
    );
});

test("what a key forbids is forbidden whatever the rule says, and the other way round", () => {
  const cases: readonly [Partial<Restrictions>, readonly number[]][] = [
    [{}, []],
    [{ pty: false }, [5]],
    [{ x11Forwarding: false }, [6]],
    [{ agentForwarding: false }, [7]],
    [{ portForwarding: false }, [8, 9, 10, 11, 12]],
    [{ permitOpen: [{ host: "localhost", port: 80 }] }, [9]],
    [{ permitOpen: [{ host: "localhost", port: 81 }] }, [8, 9]],
    [{ permitListen: [{ host: "*", port: "any" }] }, [11]],
    [{ permitListen: [{ host: "other", port: 80 }] }, [10, 11]],
    [{ tunnel: 0 }, []],
    [{ tunnel: 1 }, [12]],
  ];
  for (const [restriction, refused] of cases) {
    const found = permissions(undefined, restriction, {});
    const hit = [...every.keys()].filter((at) => found.refusal(every[at] ?? exec("")) !== undefined);
    assert.deepEqual(hit, [...refused, 14], JSON.stringify(restriction));
  }
  const both = permissions(
    { forwardLocal: ["a:1", "b:1"] },
    {
      permitOpen: [
        { host: "b", port: 1 },
        { host: "c", port: 1 },
      ],
    },
  );
  assert.deepEqual(
    ["a", "b", "c"].filter((host) => both.refusal(to(host, 1)) === undefined),
    ["b"],
  );
});

test("a forced command passes its own rule's policy; one of a key needs the rule's leave", () => {
  assert.equal(permissions({ forcedCommand: "report" }).refusal(exec("report")), undefined);
  assert.equal(permissions({ forcedCommand: "report" }).forcedCommand, "report");
  const byKey = permissions({ exec: ["report *"] }, { forcedCommand: "report ada" });
  assert.equal(byKey.forcedCommand, "report ada");
  assert.equal(byKey.refusal(exec("report ada")), undefined);
  assert.ok(permissions({ sftp: true }, { forcedCommand: "report" }).refusal(exec("report")));
  assert.equal(permissions({ forcedCommand: "rule" }, { forcedCommand: "key" }).forcedCommand, "rule");
});

test("environment for the upstream: the rule's over the key's, and nobody else's under these names", () => {
  const found = permissions(
    {
      env: true,
      setEnv: { WHO: parseTemplate("{user}@{from} {id}"), GONE: parseTemplate("{missing}") },
      tellUpstream: true,
    },
    {
      environment: new Map([
        ["WHO", "key"],
        ["TEAM", "blue"],
      ]),
    },
  );
  assert.deepEqual(Object.fromEntries(found.environment), {
    WHO: "ada@192.0.2.7 12",
    TEAM: "blue",
    POSTERN_USER: "ada",
    POSTERN_CLIENT: "192.0.2.7",
    POSTERN_SESSION: "s1",
    POSTERN_RULE: "web",
    POSTERN_METHOD: "publickey",
    POSTERN_PROOF: "SHA256:x",
  });
  for (const name of ["WHO", "TEAM", "POSTERN_USER", "POSTERN_ELSE"])
    assert.ok(found.refusal({ kind: "env", name }), name);
  assert.equal(found.refusal({ kind: "env", name: "LANG" }), undefined);
  assert.ok(
    permissions({ env: true, forcedCommand: "x" }).refusal({ kind: "env", name: "SSH_ORIGINAL_COMMAND" }),
  );
  assert.equal(permissions({ env: true }).refusal({ kind: "env", name: "POSTERN_USER" }), undefined);
});
