import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import type { HostKeyPolicy } from "#contract";
import {
  fingerprint,
  formatKnownHostsLine,
  formatPublicKey,
  generatePrivateKey,
  type PrivateKey,
} from "#ssh/keys";
import { type LoggedLine, recordingLog } from "#test/support/fake-gateway";
import { HostKeyCheck } from "./host-key.ts";

const ed = generatePrivateKey("ssh-ed25519");
const ec = generatePrivateKey("ecdsa-sha2-nistp256");
const other = generatePrivateKey("ssh-ed25519");
const offered = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"];

interface Opened {
  readonly check: HostKeyCheck;
  readonly files: Map<string, string>;
  readonly lines: LoggedLine[];
}

async function open(policy: HostKeyPolicy, text: Record<string, string> = {}, port = 22): Promise<Opened> {
  const files = new Map(Object.entries(text));
  const lines: LoggedLine[] = [];
  const check = await HostKeyCheck.open(
    policy,
    { host: "web.lan", port },
    {
      log: recordingLog(lines, {}),
      nowMs: () => 1_700_000_000_000,
      files: {
        read: async (path) => {
          const found = files.get(path);
          return found === undefined ? undefined : { bytes: Buffer.from(found), mode: 0o600 };
        },
        append: async (path, decide) => {
          const line = decide(files.get(path) ?? "");
          if (line !== undefined) files.set(path, `${files.get(path) ?? ""}${line}\n`);
        },
      },
    },
  );
  return { check, files, lines };
}

/** "ok", or the code of the refusal. */
async function verdict(
  policy: HostKeyPolicy,
  text: Record<string, string>,
  key: PrivateKey,
  port = 22,
): Promise<string> {
  const { check } = await open(policy, text, port);
  return await outcome(check, key);
}

async function outcome(check: HostKeyCheck, key: PrivateKey): Promise<string> {
  try {
    await check.check(key.publicKey.blob);
    return "ok";
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    return error.code;
  }
}

const line = (key: PrivateKey, port = 22, host = "web.lan"): string =>
  `${formatKnownHostsLine({ host, port, key: key.publicKey })}\n`;
const mismatch = "UPSTREAM_HOST_KEY_MISMATCH";

test("each source vouches for its own key and no other", async () => {
  const sources: [string, HostKeyPolicy, Record<string, string>][] = [
    ["knownHosts", { knownHosts: ["/known"] }, { "/known": line(ed) }],
    ["knownHosts, the second file", { knownHosts: ["/none", "/known"] }, { "/known": line(ed) }],
    ["fingerprints", { fingerprints: [fingerprint(ed.publicKey.blob)] }, {}],
    ["fingerprints with padding", { fingerprints: [`${fingerprint(ed.publicKey.blob)}=`] }, {}],
    ["keys", { keys: [formatPublicKey(ed.publicKey.blob, "comment")] }, {}],
    ["acceptNew, known already", { acceptNew: "/new" }, { "/new": line(ed) }],
    [
      "several",
      { knownHosts: ["/known"], keys: [formatPublicKey(ed.publicKey.blob)] },
      { "/known": line(ec) },
    ],
  ];
  for (const [name, policy, text] of sources) {
    assert.equal(await verdict(policy, text, ed), "ok", name);
    assert.equal(await verdict(policy, text, other), mismatch, name);
  }
  assert.equal(await verdict({ dangerouslyAcceptAny: true }, {}, other), "ok");
});

test("a host without any record is unknown, not mistaken", async () => {
  assert.equal(
    await verdict({ knownHosts: ["/known"] }, { "/known": line(ed, 22, "db.lan") }, ed),
    "UPSTREAM_HOST_KEY_UNKNOWN",
  );
  assert.equal(await verdict({ knownHosts: ["/missing"] }, {}, ed), "UPSTREAM_HOST_KEY_UNKNOWN");
});

test("a revoked key is refused by every policy", async () => {
  const revoked = `@revoked * ${formatPublicKey(ed.publicKey.blob)}\n`;
  const policies: HostKeyPolicy[] = [
    { knownHosts: ["/known"] },
    { knownHosts: ["/known"], keys: [formatPublicKey(ed.publicKey.blob)] },
    { knownHosts: ["/known"], dangerouslyAcceptAny: true },
    { knownHosts: ["/known"], acceptNew: "/new" },
  ];
  for (const policy of policies) {
    assert.equal(await verdict(policy, { "/known": line(ed) + revoked }, ed), "UPSTREAM_HOST_KEY_REVOKED");
  }
});

test("a port has its own record; the plain name's vouches, but does not contradict", async () => {
  const policy = { knownHosts: ["/known"] };
  assert.equal(await verdict(policy, { "/known": line(ed, 2222) }, ed, 2222), "ok");
  assert.equal(await verdict(policy, { "/known": line(ed, 2222) }, other, 2222), mismatch);
  assert.equal(await verdict(policy, { "/known": line(ed) }, ed, 2222), "ok");
  assert.equal(await verdict(policy, { "/known": line(ed) }, other, 2222), "UPSTREAM_HOST_KEY_UNKNOWN");
});

test("acceptNew writes the first key down, and holds to it", async () => {
  const { check, files, lines } = await open({ acceptNew: "/new" });
  assert.equal(await outcome(check, ed), "ok");
  assert.equal(files.get("/new"), line(ed));
  assert.equal(lines.filter(({ event }) => event === "host-key-accepted").length, 1);
  // The same check, as of a second connection that was opened before the first had written.
  assert.equal(await outcome(check, ed), "ok");
  assert.equal(files.get("/new"), line(ed), "not twice");
  assert.equal(await outcome(check, other), mismatch, "another session was first");
  assert.equal(await verdict({ acceptNew: "/new" }, Object.fromEntries(files), other), mismatch);
});

test("acceptNew writes nothing where another source knows the host", async () => {
  const { check, files } = await open({ knownHosts: ["/known"], acceptNew: "/new" }, { "/known": line(ed) });
  assert.equal(await outcome(check, ed), "ok");
  assert.equal(await outcome(check, other), mismatch);
  assert.equal(files.has("/new"), false);
});

test("a host with several keys is asked for the one on record", async () => {
  const first = async (
    policy: HostKeyPolicy,
    text: Record<string, string> = {},
    port = 22,
  ): Promise<string | undefined> => (await open(policy, text, port)).check.order(offered)[0];
  assert.equal(await first({ knownHosts: ["/known"] }, { "/known": line(ec) }), "ecdsa-sha2-nistp256");
  assert.equal(await first({ knownHosts: ["/known"] }, { "/known": line(ec) }, 2222), "ecdsa-sha2-nistp256");
  assert.equal(await first({ keys: [formatPublicKey(ec.publicKey.blob)] }), "ecdsa-sha2-nistp256");
  assert.equal(await first({ fingerprints: [fingerprint(ec.publicKey.blob)] }), "ssh-ed25519");
  assert.equal(
    await first({ authorities: [formatPublicKey(ec.publicKey.blob)] }),
    "ssh-ed25519-cert-v01@openssh.com",
  );
  const all = (await open({ knownHosts: ["/known"] }, { "/known": line(ec) })).check.order(offered);
  assert.deepEqual(all.toSorted(), offered.toSorted(), "the others stay behind it");
});

test("what is wrong is told with both fingerprints, and in words to the client", async () => {
  const { check } = await open({ knownHosts: ["/known"] }, { "/known": line(ed) });
  await assert.rejects(check.check(other.publicKey.blob), (error: PosternError) => {
    assert.match(error.user, /not the one on record/);
    assert.ok(!error.user.includes("SHA256"));
    for (const key of [ed, other]) assert.ok(error.message.includes(fingerprint(key.publicKey.blob)));
    return true;
  });
});
