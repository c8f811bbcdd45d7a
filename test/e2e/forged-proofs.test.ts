/** Proofs that prove nothing, sent to a real gateway packet by packet: refused, told in the audit, and nobody else is disturbed. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import type { AuditRecord } from "#contract";
import type { Link } from "#link";
import { Slow } from "#ssh/algorithms";
import { type KeySigner, parsePrivateKey, parsePublicKeyLine } from "#ssh/keys";
import {
  encodeServiceRequest,
  encodeUserauthRequest,
  MSG,
  type UserauthMethod,
  userauthSignedData,
} from "#ssh/messages";
import { auditLines } from "#test/support/audit-lines";
import { Collector, link } from "#test/support/links";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, type KeyFiles } from "#test/support/test-keys";
import { until } from "#test/support/waiting";
import { keyLogin, keyRule, startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
const service = "ssh-connection";
let world: World;
let authority: KeyFiles;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }], limits: { maxAuthTries: 20 } },
    rules: (parts) => {
      authority = parts.keys.key("ed25519", "authority");
      const rsa = parts.keys.key("rsa", "client");
      return [
        keyRule(parts, "ada", { login: [keyLogin(parts.identity, rsa)] }),
        keyRule(parts, "certified", {
          login: [{ kind: "publickey", keys: [`cert-authority ${authority.publicLine}`] }],
        }),
      ];
    },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const signerOf = async ({ path }: KeyFiles): Promise<KeySigner> =>
  await parsePrivateKey(await readFile(path));

/** The same with one bit of its last byte turned. */
function turned(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));
}

interface Proof {
  readonly algorithm: string;
  /** What is shown. */
  readonly key: Uint8Array;
  /** What signs, and for whom. */
  readonly by: KeySigner;
  readonly session?: Uint8Array;
  readonly user?: string;
  readonly signed?: (signature: Uint8Array) => Uint8Array;
}

const answers: readonly number[] = [MSG.USERAUTH_FAILURE, MSG.USERAUTH_SUCCESS, MSG.USERAUTH_PK_OK];

/** A client that sends what a test wants. */
class Raw implements Disposable {
  readonly link: Link;
  readonly #packets = new Collector();
  readonly #user: string;

  constructor(user: string) {
    this.#user = user;
    this.link = link(connect(world.gateway.port, "127.0.0.1").pause(), "client");
    this.link.attach(this.#packets);
  }

  async begin(): Promise<this> {
    await this.link.established;
    this.link.send(encodeServiceRequest("ssh-userauth"));
    return this;
  }

  send(method: UserauthMethod): void {
    this.link.send(encodeUserauthRequest({ ...method, user: this.#user, service }));
  }

  async prove({ algorithm, key, by, session, user, signed }: Proof): Promise<void> {
    const data = userauthSignedData(session ?? this.link.sessionId, {
      user: user ?? this.#user,
      service,
      algorithm,
      key,
    });
    const plain = algorithm.replace("-cert-v01@openssh.com", "");
    const made = by.sign(plain, data);
    const signature = made instanceof Slow ? await made.run() : await made;
    this.send({ method: "publickey", algorithm, key, signature: signed?.(signature) ?? signature });
  }

  /** The answers to attempts so far. */
  get answers(): number[] {
    return this.#packets.payloads.map(([number = 0]) => number).filter((number) => answers.includes(number));
  }

  get ended(): Collector["end"] {
    return this.#packets.end;
  }

  async answered(count = 1): Promise<number[]> {
    return await until("an answer", () => this.answers.length >= count && this.answers);
  }

  [Symbol.dispose](): void {
    this.link.destroy();
  }
}

const records = (): AuditRecord[] => auditLines(world.gateway.folder.at("audit.jsonl"));

async function refusedFor(reason: RegExp): Promise<void> {
  const told = await until("the reason in the audit", () =>
    records().find(
      (record) => record.event === "auth" && record.outcome === "refused" && reason.test(record.reason ?? ""),
    ),
  );
  assert.ok(told?.event === "auth" && told.key?.startsWith("SHA256:") === true);
}

async function others(): Promise<void> {
  const { stdout } = await runSsh(world.gateway.target("ada", world.identity.path), ["echo undisturbed"]);
  assert.equal(stdout.toString(), "undisturbed\n");
}

test("signatures that are forged, stale, another's, or by an algorithm that was not announced", {
  skip,
}, async () => {
  const mine = await signerOf(world.identity);
  const stranger = await signerOf(world.keys.key("ed25519", "stranger"));
  const rsa = await signerOf(world.keys.key("rsa", "client"));
  const right: Proof = { algorithm: "ssh-ed25519", key: mine.blob, by: mine };
  using earlier = await new Raw("ada").begin();
  await earlier.link.established;
  const cases: readonly (readonly [what: string, Proof])[] = [
    ["forged", { ...right, signed: turned }],
    ["empty", { ...right, signed: () => new Uint8Array() }],
    ["over another session", { ...right, session: earlier.link.sessionId }],
    ["for another name", { ...right, user: "root" }],
    ["by another key", { ...right, by: stranger }],
    ["by SHA-1, which was not announced", { algorithm: "ssh-rsa", key: rsa.blob, by: rsa }],
    [
      "by SHA-1 under another name",
      {
        ...right,
        algorithm: "rsa-sha2-512",
        key: rsa.blob,
        by: { ...rsa, sign: (_, data) => rsa.sign("ssh-rsa", data) },
      },
    ],
  ];
  using client = await new Raw("ada").begin();
  for (const [at, [what, proof]] of cases.entries()) {
    await client.prove(proof);
    assert.deepEqual(await client.answered(at + 1), Array(at + 1).fill(MSG.USERAUTH_FAILURE), what);
  }
  // And that it was not for another reason: the same client, with the right ones.
  await client.prove(right);
  assert.equal((await client.answered(cases.length + 1)).at(-1), MSG.USERAUTH_SUCCESS);
  using by512 = await new Raw("ada").begin();
  await by512.prove({ algorithm: "rsa-sha2-512", key: rsa.blob, by: rsa });
  assert.deepEqual(await by512.answered(), [MSG.USERAUTH_SUCCESS]);
  await refusedFor(/signature/);
  await others();
});

test("certificates that are forged, expired, of another authority, of another kind, for somebody else", {
  skip,
}, async () => {
  const { keys } = world;
  const algorithm = "ssh-ed25519-cert-v01@openssh.com";
  const proof = async (
    name: string,
    by: KeyFiles,
    options: Parameters<typeof certify>[2],
    change: (blob: Uint8Array) => Uint8Array = (blob) => blob,
  ): Promise<Proof> => {
    const holder = keys.key("ed25519", name);
    const line = await readFile(certify(by, holder, options), "utf8");
    return {
      algorithm,
      key: change(parsePublicKeyLine(line).key.blob),
      by: await signerOf(holder),
    };
  };
  const mine = { principals: ["certified"] };
  const other = keys.key("ed25519", "other-authority");
  const cases: readonly (readonly [what: string, Proof, reason: RegExp])[] = [
    ["forged", await proof("forged", authority, mine, turned), /signature|certificate/],
    ["expired", await proof("expired", authority, { ...mine, more: ["-V", "20200101:20210101"] }), /expired/],
    [
      "not valid yet",
      await proof("early", authority, { ...mine, more: ["-V", "20900101:20910101"] }),
      /not.*yet/,
    ],
    ["of another authority", await proof("foreign", other, mine), /not listed|authority/],
    ["of a host", await proof("host", authority, { ...mine, host: true }), /host|kind/],
    [
      "with a critical option that nobody knows",
      await proof("critical", authority, { ...mine, more: ["-O", "critical:nobody@knows.example=1"] }),
      /critical option/,
    ],
    [
      "for somebody else",
      await proof("elsewhere", authority, { principals: ["somebody"] }),
      /certified|principal/,
    ],
  ];
  using client = await new Raw("certified").begin();
  for (const [at, [what, shown, reason]] of cases.entries()) {
    await client.prove(shown);
    assert.deepEqual(await client.answered(at + 1), Array(at + 1).fill(MSG.USERAUTH_FAILURE), what);
    await refusedFor(reason);
  }
  await client.prove(await proof("good", authority, mine));
  assert.equal((await client.answered(cases.length + 1)).at(-1), MSG.USERAUTH_SUCCESS);
  await others();
});

test("10,000 keys on one connection: cut off at the bound, in words", { skip }, async () => {
  const stranger = await signerOf(world.keys.key("ed25519", "stranger"));
  using client = await new Raw("ada").begin();
  for (let at = 0; at < 10_000; at++) {
    const key = Uint8Array.from(stranger.blob);
    new DataView(key.buffer).setUint32(key.length - 4, at);
    client.send({ method: "publickey", algorithm: "ssh-ed25519", key });
  }
  const close = await client.ended;
  assert.equal(close.kind, "disconnected");
  assert.match(close.kind === "disconnected" ? (close.description ?? "") : "", /too many/i);
  assert.ok(client.answers.length < 100, `${client.answers.length} answers`);
  await others();
});
