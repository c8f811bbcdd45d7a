import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { generatePrivateKey } from "#ssh/keys";
import {
  decodeInfoRequest,
  decodeInfoResponse,
  decodePasswordChangeRequest,
  decodePublicKeyOk,
  decodeUserauthBanner,
  decodeUserauthFailure,
  decodeUserauthRequest,
  encodeInfoRequest,
  encodeInfoResponse,
  encodePasswordChangeRequest,
  encodePublicKeyOk,
  encodeServiceAccept,
  encodeServiceRequest,
  encodeUserauthBanner,
  encodeUserauthFailure,
  encodeUserauthRequest,
  encodeUserauthSuccess,
  MSG,
  type UserauthMethod,
  userauthSignedData,
} from "#ssh/messages";
import {
  clientStates,
  UserauthClient,
  type UserauthClientEvent,
  UserauthServer,
  type UserauthServerEvent,
} from "#ssh/userauth";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);
const sessionId = new Uint8Array(32).fill(1);
const hostKey = Uint8Array.of(9, 9);
const service = "ssh-connection";
const users = ["alice", "bob"];
const key = generatePrivateKey("ssh-ed25519");
const maxAttempts = 8;

/** A right proof for `alice`; in a request of bob it is a wrong one. */
const proofByAlice = ((): Uint8Array => {
  const algorithm = "ssh-ed25519";
  const data = userauthSignedData(sessionId, { user: "alice", service, algorithm, key: key.blob });
  const signature = key.sign(algorithm, data);
  assert(signature instanceof Uint8Array);
  return signature;
})();

const bytes = fc.uint8Array({ maxLength: 20 });

const method: fc.Arbitrary<UserauthMethod> = fc.oneof(
  fc.constant<UserauthMethod>({ method: "none" }),
  bytes.map((password) => ({ method: "password" as const, password })),
  fc
    .tuple(bytes, bytes)
    .map(([password, newPassword]) => ({ method: "password" as const, password, newPassword })),
  fc
    .record({
      algorithm: fc.constantFrom(...Array<string>(6).fill("ssh-ed25519"), "rsa-sha2-512"),
      key: fc.oneof({ weight: 8, arbitrary: fc.constant(key.blob) }, { weight: 1, arbitrary: bytes }),
      signature: fc.constantFrom(proofByAlice, proofByAlice, Uint8Array.of(1), undefined, undefined),
      hostKey: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.oneof(fc.constant(hostKey), bytes) },
      ),
    })
    .map(({ signature, hostKey, ...rest }) => ({
      method: "publickey" as const,
      ...rest,
      ...(signature === undefined ? {} : { signature }),
      ...(hostKey === undefined ? {} : { hostKey }),
    })),
  fc.constant<UserauthMethod>({ method: "keyboard-interactive", submethods: "" }),
  fc.constant<UserauthMethod>({ method: "other", name: "hostbased" }),
);

/** Messages of a client that are well formed; the order is chance. */
const fromClient: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(encodeServiceRequest("ssh-userauth")) },
  {
    weight: 12,
    arbitrary: fc
      .record({ user: fc.constantFrom(...users), method })
      .map(({ user, method }) => encodeUserauthRequest({ user, service, ...method })),
  },
  {
    weight: 6,
    arbitrary: fc.array(bytes, { maxLength: 2 }).map((responses) => encodeInfoResponse(responses)),
  },
);

function damaged(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.tuple(whole, fc.nat(), fc.nat({ max: 255 })).map(([payload, at, value]) => {
      const copy = Uint8Array.from(payload);
      if (copy.length > 0) copy[at % copy.length] = value;
      return copy;
    }),
    fc.tuple(whole, fc.nat()).map(([payload, length]) => payload.slice(0, length % (payload.length + 1))),
    whole.map((payload) => Uint8Array.of(...payload, 0)),
    fc.uint8Array({ maxLength: 60 }),
    fc.nat({ max: 255 }).map((number) => Uint8Array.of(number)),
  );
}

/** What the gateway answers, where the engine lets it; the last is to leave the client waiting. */
type Answer = "accept" | "reject" | "partial" | "acceptKey" | "challenge" | "change" | "wait";
const answer = fc.constantFrom<Answer>(
  "accept",
  "challenge",
  "challenge",
  "reject",
  "reject",
  "partial",
  "acceptKey",
  "challenge",
  "change",
  "wait",
);
const prompts = fc
  .nat({ max: 2 })
  .map((count) => Array.from({ length: count }, () => ({ text: "?", echo: false })));

const serverStep = fc.record({
  payload: fc.oneof(
    { weight: 12, arbitrary: fromClient },
    { weight: 1, arbitrary: damaged(fromClient) },
    { weight: 8, arbitrary: fc.constant("as many responses as prompts" as const) },
  ),
  answer,
  prompts,
});

/** Whether this answer is due; what is not due must be refused as a mistake of ours. */
function isDue(event: UserauthServerEvent, what: Answer): boolean {
  const attempt = event.kind === "attempt" ? event.attempt : undefined;
  const proven =
    attempt?.method !== "other" && (attempt?.method !== "publickey" || attempt.proof === "valid");
  switch (what) {
    case "accept":
    case "partial":
      return proven;
    case "acceptKey":
      return attempt?.method === "publickey" && attempt.proof === "none" && attempt.key !== undefined;
    case "challenge":
      return attempt === undefined || attempt.method === "keyboard-interactive";
    case "change":
      return attempt?.method === "password";
    case "reject":
    case "wait":
      return true;
  }
}

function give(
  server: UserauthServer,
  step: { answer: Answer; prompts: { text: string; echo: boolean }[] },
): void {
  switch (step.answer) {
    case "accept":
      server.accept();
      return;
    case "partial":
      server.reject(["publickey"], true);
      return;
    case "reject":
      server.reject(["publickey", "password"]);
      return;
    case "acceptKey":
      server.acceptKey();
      return;
    case "challenge":
      server.challenge({ name: "", instruction: "", prompts: step.prompts });
      return;
    case "change":
      server.requestPasswordChange("new?");
      return;
    case "wait":
  }
}

/** The error's code, if it is the peer's fault or a denial; anything else fails the test. */
function blamed(run: () => void): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    assert(error instanceof PosternError, String(error));
    const denial = error.code === "DENIED_TOO_MANY_ATTEMPTS";
    assert(error.blame === "PEER" || denial, `${error.code}: ${error.message}`);
    return error.code;
  }
}

test("whatever a client sends, it is in only when the gateway said so, and only for what was proven", () => {
  fc.assert(
    fc.property(fc.array(serverStep, { minLength: 5, maxLength: 40, size: "max" }), (steps) => {
      const sent: number[] = [];
      const server = new UserauthServer({
        send: (payload) => sent.push(payload[0] ?? 0),
        sessionId,
        hostKey,
        signatureAlgorithms: ["ssh-ed25519"],
        maxAttempts,
      });
      server.receive(encodeServiceRequest("ssh-userauth"));
      let accepts = 0;
      let prompted = 0;
      for (const step of steps) {
        const wasBusy = server.busy;
        let event: UserauthServerEvent | undefined;
        const responses = Array.from({ length: prompted }, () => Uint8Array.of(1));
        const payload = step.payload instanceof Uint8Array ? step.payload : encodeInfoResponse(responses);
        const code = blamed(() => (event = server.receive(payload)));
        if (wasBusy) {
          assert.equal(code, "PEER_UNEXPECTED_MESSAGE");
          blamed(() => server.reject(["password"]));
        }
        // The connection would be closed here; the engine must hold even if it is not.
        if (code !== undefined) continue;
        if (event !== undefined) {
          assert.equal(accepts, 0, "an event after success");
          expectHonest(event);
          if (isDue(event, step.answer)) {
            blamed(() => give(server, step));
            if (step.answer === "accept") accepts++;
            if (step.answer === "challenge") prompted = step.prompts.length;
          } else {
            const given = event;
            assert.throws(() => give(server, step), { code: "BUG_USERAUTH_CALL" }, given.kind);
            blamed(() => server.reject(["password"]));
          }
        }
        assert.equal(server.accepted, accepts > 0);
        assert.equal(sent.filter((number) => number === MSG.USERAUTH_SUCCESS).length, accepts);
        assert(accepts <= 1);
        assert(server.failures <= maxAttempts);
      }
    }),
    { numRuns },
  );
});

/** A proof is shown as valid exactly for Alice's signature in a request that she could have made. */
function expectHonest(event: UserauthServerEvent): void {
  if (event.kind !== "attempt" || event.attempt.method !== "publickey") return;
  const { proof, hostbound, blob, key: shown } = event.attempt;
  if (proof !== "valid") return;
  assert.equal(event.user, "alice");
  assert.equal(hostbound, false);
  assert.deepEqual(Buffer.from(blob), Buffer.from(key.blob));
  assert.notEqual(shown, undefined);
}

/** Messages of a server that are well formed. */
const fromServer: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .record({ methods: fc.constant(["password", "publickey"]), partialSuccess: fc.boolean() })
    .map((failure) => encodeUserauthFailure(failure)),
  fc.constant(encodeUserauthSuccess()),
  fc.string({ maxLength: 20 }).map((text) => encodeUserauthBanner(text)),
  fc.constant(encodePublicKeyOk({ algorithm: "ssh-ed25519", key: key.blob })),
  bytes.map((blob) => encodePublicKeyOk({ algorithm: "ssh-ed25519", key: blob })),
  fc.constant(encodePasswordChangeRequest("new?")),
  prompts.map((prompts) => encodeInfoRequest({ name: "", instruction: "", prompts })),
);

type Deed = "none" | "password" | "key" | "prove" | "interactive" | "go on";
const clientStep = fc.record({
  payload: fc.oneof({ weight: 12, arbitrary: fromServer }, { weight: 1, arbitrary: damaged(fromServer) }),
  deed: fc.constantFrom<Deed>("none", "password", "key", "prove", "interactive", "go on", "go on", "go on"),
});

test("whatever a server sends, the client ends in success only by SUCCESS, and signs only for the key that it offered", () => {
  fc.assert(
    fc.property(fc.array(clientStep, { minLength: 5, maxLength: 40, size: "max" }), (steps) => {
      const client = new UserauthClient({ send: () => {}, sessionId, user: "alice", hostKey });
      client.start();
      client.receive(encodeServiceAccept("ssh-userauth"));
      let successes = 0;
      for (const { payload, deed } of steps) {
        let event: UserauthClientEvent | undefined;
        if (canTry(client, deed)) tryOne(client, deed);
        const code = blamed(() => (event = client.receive(payload)));
        assert.notEqual(code, "DENIED_TOO_MANY_ATTEMPTS");
        if (event?.kind === "success") assert.equal(payload[0], MSG.USERAUTH_SUCCESS);
        if (event?.kind === "success") successes++;
        assert.equal(client.authenticated, successes === 1);
        assert(successes <= 1);
        if (event?.kind === "need-signature") {
          assert.equal(event.key, key);
          if (deed === "go on") client.signed(proofByAlice);
        }
        if (event?.kind === "prompts" && deed === "go on") {
          client.answer(event.request.prompts.map(() => new Uint8Array(1)));
        }
      }
    }),
    { numRuns },
  );
});

/** Tries are due in some states only: a call that is not due is refused and changes nothing. */
function canTry(client: UserauthClient, deed: Deed): boolean {
  return deed !== "go on" && !client.authenticated;
}

function tryOne(client: UserauthClient, deed: Deed): void {
  const calls: Record<Deed, () => void> = {
    none: () => client.tryNone(),
    password: () => client.tryPassword(Uint8Array.of(1)),
    key: () => void client.tryKey(key),
    prove: () => void client.proveKey(key),
    interactive: () => client.tryKeyboardInteractive(),
    "go on": () => {},
  };
  try {
    calls[deed]();
  } catch (error) {
    assert(error instanceof PosternError && error.code === "BUG_USERAUTH_CALL", String(error));
  }
}

const decoders: readonly ((payload: Uint8Array) => unknown)[] = [
  decodeInfoRequest,
  decodeInfoResponse,
  decodePasswordChangeRequest,
  decodePublicKeyOk,
  decodeUserauthBanner,
  decodeUserauthFailure,
  decodeUserauthRequest,
];

test("messages of user authentication parse, or throw PEER_ errors, and nothing else", () => {
  const payload = fc.oneof(damaged(fromClient), damaged(fromServer), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(payload, (payload) => {
      for (const decode of decoders) blamed(() => void decode(payload));
    }),
    { numRuns: numRuns * 5 },
  );
});

test("the states of the client admit no message that only a client sends", () => {
  for (const [state, numbers] of Object.entries(clientStates)) {
    for (const number of [MSG.SERVICE_REQUEST, MSG.USERAUTH_REQUEST, MSG.USERAUTH_INFO_RESPONSE]) {
      assert(!numbers.includes(number), state);
    }
  }
});
