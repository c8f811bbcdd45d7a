import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePrivateKey } from "#ssh/keys";
import {
  decodeUserauthRequest,
  encodeInfoRequest,
  encodePasswordChangeRequest,
  encodePublicKeyOk,
  encodeServiceAccept,
  encodeUserauthBanner,
  encodeUserauthFailure,
  encodeUserauthSuccess,
  MSG,
  type UserauthRequest,
} from "#ssh/messages";
import { chooseSignatureAlgorithm, serverSignatureAlgorithms, supportsHostbound } from "./algorithms.ts";
import { type ClientStateName, clientStates, UserauthClient, type UserauthClientOptions } from "./client.ts";

const key = generatePrivateKey("ssh-ed25519");
const hostKey = Uint8Array.of(1, 2, 3);
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

interface Bench {
  readonly client: UserauthClient;
  readonly sent: Uint8Array[];
  /** The last request. */
  readonly request: () => UserauthRequest;
}

function bench(options: Partial<UserauthClientOptions> = {}): Bench {
  const sent: Uint8Array[] = [];
  const client = new UserauthClient({
    send: (payload) => sent.push(Uint8Array.from(payload)),
    sessionId: new Uint8Array(32),
    user: "alice",
    hostKey,
    ...options,
  });
  client.start();
  client.receive(encodeServiceAccept("ssh-userauth"));
  return { client, sent, request: () => decodeUserauthRequest(sent.at(-1) ?? new Uint8Array(0)) };
}

const make: Record<ClientStateName, () => UserauthClient> = {
  new: () => new UserauthClient({ send: () => {}, sessionId: new Uint8Array(32), user: "a", hostKey }),
  "await-service": () => {
    const client = make.new();
    client.start();
    return client;
  },
  choosing: () => bench().client,
  "await-none": () => {
    const { client } = bench();
    client.tryNone();
    return client;
  },
  "await-password": () => {
    const { client } = bench();
    client.tryPassword(bytes("x"));
    return client;
  },
  "await-new-password": () => {
    const client = make["await-password"]();
    client.receive(encodePasswordChangeRequest("new?"));
    return client;
  },
  "await-key-ok": () => {
    const { client } = bench();
    client.tryKey(key);
    return client;
  },
  "await-signature": () => {
    const client = make["await-key-ok"]();
    client.receive(encodePublicKeyOk({ algorithm: "ssh-ed25519", key: key.blob }));
    return client;
  },
  "await-proof": () => {
    const client = make["await-signature"]();
    client.signed(bytes("signature"));
    return client;
  },
  "await-round": () => {
    const { client } = bench();
    client.tryKeyboardInteractive();
    return client;
  },
  "await-responses": () => {
    const client = make["await-round"]();
    client.receive(encodeInfoRequest({ name: "", instruction: "", prompts: [{ text: "?", echo: false }] }));
    return client;
  },
  authenticated: () => {
    const client = make["await-none"]();
    client.receive(encodeUserauthSuccess());
    return client;
  },
};
const states = Object.keys(clientStates) as ClientStateName[];

for (const state of states) {
  test(`in ${state} no number is admitted but those of its table`, () => {
    for (let number = 0; number < 256; number++) {
      if (clientStates[state].includes(number)) continue;
      const client = make[state]();
      const what = `${number} in ${state}`;
      assert.throws(() => client.receive(Uint8Array.of(number)), { code: "PEER_UNEXPECTED_MESSAGE" }, what);
      assert.equal(client.authenticated, state === "authenticated");
    }
  });
}

test("what may be called follows from the state; all else is a mistake of the caller", () => {
  const tries: Record<string, (client: UserauthClient) => unknown> = {
    none: (client) => client.tryNone(),
    password: (client) => client.tryPassword(bytes("x")),
    key: (client) => client.tryKey(key),
    prove: (client) => client.proveKey(key),
    interactive: (client) => client.tryKeyboardInteractive(),
  };
  const open: readonly ClientStateName[] = [
    "choosing",
    "await-signature",
    "await-responses",
    "await-new-password",
  ];
  for (const state of states) {
    for (const [name, attempt] of Object.entries(tries)) {
      const client = make[state]();
      if (open.includes(state)) assert.doesNotThrow(() => attempt(client), `${name} in ${state}`);
      else assert.throws(() => attempt(client), { code: "BUG_USERAUTH_CALL" }, `${name} in ${state}`);
    }
    if (state !== "new") assert.throws(() => make[state]().start(), { code: "BUG_USERAUTH_CALL" });
    if (state !== "await-signature") {
      assert.throws(() => make[state]().signed(bytes("s")), { code: "BUG_USERAUTH_CALL" });
    }
    if (state !== "await-responses")
      assert.throws(() => make[state]().answer([]), { code: "BUG_USERAUTH_CALL" });
  }
  assert.throws(() => make["await-responses"]().answer([]), { code: "BUG_USERAUTH_CALL" });
  assert.throws(() => make["await-responses"]().answer([bytes("a"), bytes("b")]), {
    code: "BUG_USERAUTH_CALL",
  });
});

test("failure says what can continue, and whether a step was passed", () => {
  const { client } = bench();
  client.tryPassword(bytes("x"));
  assert.deepEqual(client.receive(encodeUserauthFailure({ methods: ["publickey"], partialSuccess: true })), {
    kind: "choose",
    methods: ["publickey"],
    partialSuccess: true,
    lastFailed: false,
  });
  client.tryKey(key);
  assert.deepEqual(client.receive(encodeUserauthFailure({ methods: [], partialSuccess: false })), {
    kind: "choose",
    methods: [],
    partialSuccess: false,
    lastFailed: true,
  });
});

test("another service than asked for ends the connection", () => {
  assert.throws(() => make["await-service"]().receive(encodeServiceAccept("ssh-connection")), {
    code: "PEER_SERVICE_UNKNOWN",
  });
});

test("the password is on the wire once, and not left in what was sent from", () => {
  const shown: Uint8Array[] = [];
  const { client } = bench({ send: (payload) => shown.push(payload) });
  client.tryPassword(bytes("secret"), bytes("newer"));
  assert(shown.at(-1)?.every((byte) => byte === 0));
  const seen = bench();
  seen.client.tryPassword(bytes("secret"), bytes("newer"));
  const request = seen.request();
  assert(request.method === "password");
  assert.equal(Buffer.from(request.password).toString(), "secret");
  assert.equal(Buffer.from(request.newPassword ?? []).toString(), "newer");
});

test("PK_OK must name the key that was offered; the key's type may stand for the algorithm", () => {
  const rsa = {
    blob: Uint8Array.from([0, 0, 0, 7, ...bytes("ssh-rsa"), 1]),
    algorithms: ["rsa-sha2-512", "rsa-sha2-256"],
  };
  const answers: readonly [algorithm: string, blob: Uint8Array, fine: boolean][] = [
    ["rsa-sha2-512", rsa.blob, true],
    ["ssh-rsa", rsa.blob, true],
    ["rsa-sha2-256", rsa.blob, false],
    ["rsa-sha2-512", key.blob, false],
  ];
  for (const [algorithm, blob, fine] of answers) {
    const { client } = bench();
    assert(client.tryKey(rsa));
    const receive = () => client.receive(encodePublicKeyOk({ algorithm, key: blob }));
    if (fine) {
      const event = receive();
      assert(event?.kind === "need-signature" && event.algorithm === "rsa-sha2-512");
    } else assert.throws(receive, { code: "PEER_KEY_NOT_OFFERED" });
  }
});

test("the host key is bound where the server takes it, in the query and in the proof", () => {
  const { client, request } = bench({ hostbound: true });
  client.tryKey(key);
  const query = request();
  assert(query.method === "publickey" && query.signature === undefined);
  assert.deepEqual(query.hostKey, hostKey);
  client.receive(encodePublicKeyOk({ algorithm: "ssh-ed25519", key: key.blob }));
  client.signed(bytes("signature"));
  const proof = request();
  assert(proof.method === "publickey");
  assert.deepEqual([proof.hostKey, proof.signature], [hostKey, bytes("signature")]);
});

test("a key can be proven without asking first", () => {
  const { client, sent, request } = bench();
  const before = sent.length;
  const event = client.proveKey(key);
  assert(event?.kind === "need-signature");
  assert.equal(sent.length, before);
  client.signed(bytes("signature"));
  const proof = request();
  assert(proof.method === "publickey" && proof.signature !== undefined);
});

test("a key for which the server takes no algorithm is not offered", () => {
  const { client, sent } = bench({ serverSignatureAlgorithms: ["ssh-ed25519"] });
  const before = sent.length;
  const rsa = { blob: key.blob, algorithms: ["rsa-sha2-512", "rsa-sha2-256"] };
  assert.equal(client.tryKey(rsa), false);
  assert.equal(client.proveKey(rsa), undefined);
  assert.equal(sent.length, before);
  client.tryNone();
});

test("which algorithm is used, by the key's list and the server's", () => {
  const rsa = ["rsa-sha2-512", "rsa-sha2-256"];
  const certificate = ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"];
  const cases: readonly [string[], string[] | undefined, string | undefined][] = [
    [rsa, ["ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"], "rsa-sha2-512"],
    [rsa, ["rsa-sha2-256"], "rsa-sha2-256"],
    [rsa, ["ssh-rsa"], undefined],
    [rsa, [], undefined],
    [rsa, undefined, "rsa-sha2-512"],
    [[...rsa, "ssh-rsa"], undefined, "ssh-rsa"],
    [[...rsa, "ssh-rsa"], ["ssh-rsa"], "ssh-rsa"],
    [[...rsa, "ssh-rsa"], ["ssh-rsa", "rsa-sha2-256"], "rsa-sha2-256"],
    [certificate, ["rsa-sha2-256"], "rsa-sha2-256-cert-v01@openssh.com"],
    [certificate, ["rsa-sha2-256-cert-v01@openssh.com"], "rsa-sha2-256-cert-v01@openssh.com"],
    [["ssh-ed25519"], ["rsa-sha2-512"], "ssh-ed25519"],
    [[], undefined, undefined],
  ];
  for (const [keyAlgorithms, server, expected] of cases) {
    assert.equal(
      chooseSignatureAlgorithm(keyAlgorithms, server),
      expected,
      `${keyAlgorithms.join()} for ${server?.join() ?? "nothing"}`,
    );
  }
});

test("what the server's EXT_INFO says of user authentication", () => {
  const extensions = new Map([
    ["server-sig-algs", bytes("ssh-ed25519,,rsa-sha2-512")],
    ["publickey-hostbound@openssh.com", bytes("0")],
  ]);
  assert.deepEqual(serverSignatureAlgorithms(extensions), ["ssh-ed25519", "rsa-sha2-512"]);
  assert.equal(supportsHostbound(extensions), true);
  assert.equal(serverSignatureAlgorithms(new Map()), undefined);
  assert.equal(supportsHostbound(new Map()), false);
  assert.equal(supportsHostbound(new Map([["publickey-hostbound@openssh.com", bytes("1")]])), false);
});

test("banners are shown in every state after the service, up to a limit", () => {
  for (const state of states) {
    if (!clientStates[state].includes(MSG.USERAUTH_BANNER)) continue;
    assert.deepEqual(make[state]().receive(encodeUserauthBanner("hello")), { kind: "banner", text: "hello" });
  }
  const { client } = bench();
  assert.throws(
    () => {
      for (let n = 0; n < 10; n++) client.receive(encodeUserauthBanner("x".repeat(50_000)));
    },
    { code: "PEER_USERAUTH_FLOODED" },
  );
});

test("a server cannot ask without end, nor too much at once", () => {
  const { client } = bench();
  client.tryKeyboardInteractive();
  const nothing = encodeInfoRequest({ name: "", instruction: "", prompts: [] });
  assert.throws(
    () => {
      for (let n = 0; n < 100; n++) {
        client.receive(nothing);
        client.answer([]);
      }
    },
    { code: "PEER_USERAUTH_FLOODED" },
  );
  const prompts = Array.from({ length: 101 }, () => ({ text: "?", echo: false }));
  const much = encodeInfoRequest({ name: "", instruction: "", prompts });
  assert.throws(() => make["await-round"]().receive(much), { code: "PEER_USERAUTH_FLOODED" });
});
