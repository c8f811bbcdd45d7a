/** Keys from addresses and from the upstream. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import { type LogFields, parseTemplate, silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, UpstreamFiles, Verdict } from "#contract";
import { formatPublicKey, generatePrivateKey, type PublicKey } from "#ssh/keys";
import { noUsers } from "#test/support/auth-ports";
import { publicKeyErrors } from "./errors.ts";
import { publickey } from "./publickey.ts";
import { type PublicKeyConfig, schema } from "./schema.ts";

const ada = generatePrivateKey("ssh-ed25519").publicKey;
const bob = generatePrivateKey("ecdsa-sha2-nistp256").publicKey;
const adaLine = formatPublicKey(ada.blob, "ada");

async function serving(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    asked,
    base: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function ports(warnings: LogFields[] = []): AuthPorts {
  return {
    clock: systemClock,
    log: { ...silentLog, warn: (event, fields) => void warnings.push({ event, ...fields }) },
    files: { read: async () => undefined },
    ...noUsers,
  };
}

interface Given {
  readonly user?: string;
  readonly key?: PublicKey;
  readonly proven?: boolean;
  readonly upstreamFiles?: UpstreamFiles;
}

async function method(config: Partial<PublicKeyConfig>, warnings: LogFields[] = []) {
  const made = await publickey.create({ kind: "publickey", ...config }, ports(warnings));
  return async ({ user = "ada", key = ada, proven = true, upstreamFiles }: Given = {}): Promise<Verdict> => {
    const context: AuthContext = {
      user,
      captures: { user },
      from: { ip: "192.0.2.7", text: "192.0.2.7" },
      nowMs: 1_000_000_000_000,
      signal: new AbortController().signal,
      pretended: false,
      ...(upstreamFiles === undefined ? {} : { upstreamFiles }),
    };
    const { blob, type: algorithm } = key;
    return await made.attempt({ method: "publickey", algorithm, key, blob, proven }, context);
  };
}

const byUrl = (base: string, more: Partial<PublicKeyConfig> = {}): Partial<PublicKeyConfig> => ({
  urls: [parseTemplate(`${base}/{user}.keys`)],
  dangerouslyAllowHttp: true,
  ...more,
});

test("an address for each user: asked once, names that lead elsewhere never", async () => {
  await using server = await serving((request, response) => {
    if (request.url === "/ada.keys") response.end(`${adaLine}\n`);
    else response.writeHead(404).end();
  });
  const attempt = await method(byUrl(server.base));
  assert.equal((await attempt({ proven: false })).kind, "accepted");
  assert.equal((await attempt()).kind, "accepted");
  assert.equal((await attempt({ key: bob })).kind, "denied");
  assert.equal((await attempt({ user: "bob" })).kind, "denied");
  for (const user of ["..", ".", "a/b", "", "a\\b"])
    assert.equal((await attempt({ user })).kind, "denied", user);
  await attempt({ user: "a b?x#%2f" });
  assert.deepEqual(server.asked, ["/ada.keys", "/bob.keys", "/a%20b%3Fx%23%252f.keys"]);
});

test("the options of lines are obeyed there, too", async () => {
  await using server = await serving(
    (_, response) => void response.end(`from="198.51.100.0/24",restrict ${adaLine}\n`),
  );
  const attempt = await method(byUrl(server.base));
  assert.equal((await attempt()).kind, "denied");
});

const bad: readonly [string, (response: ServerResponse, base: string) => void, RegExp][] = [
  ["an error", (response) => void response.writeHead(500).end(adaLine), /answered 500/],
  ["what needs a login", (response) => void response.writeHead(401).end(), /answered 401/],
  [
    "too much",
    (response) => {
      response.on("error", () => {});
      response.write(`${adaLine}\n`);
      const more = (): void => {
        while (response.write(`# ${"x".repeat(8190)}`));
        response.once("drain", more);
      };
      more();
    },
    /more than 262144 bytes/,
  ],
  [
    "half an answer",
    (response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write(`${adaLine}\n`);
      response.destroy();
    },
    /aborted|cut off|hang up/,
  ],
  ["nothing", (response) => void response.destroy(), /hang up|ECONNRESET/],
  ["a silence", () => {}, /no answer in 300 ms/],
  [
    "a drip",
    (response) => {
      response.write(adaLine);
    },
    /no answer in 300 ms/,
  ],
  [
    "another scheme",
    (response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end(),
    /file:\/\/ is not allowed/,
  ],
  [
    "a circle",
    (response, base) => void response.writeHead(302, { location: base }).end(),
    /too many redirects/,
  ],
];
for (const [what, answer, reason] of bad) {
  test(`an address that gives ${what}: nobody has a key there`, async () => {
    await using server = await serving((request, response) => {
      answer(response, `http://${request.headers.host}/`);
    });
    const warnings: LogFields[] = [];
    const attempt = await method(byUrl(server.base, { timeoutSeconds: 0.3 }), warnings);
    assert.equal((await attempt()).kind, "denied");
    assert.equal((await attempt()).kind, "denied");
    const [warning, ...more] = warnings;
    assert.equal(more.length, 0, "left alone after that");
    assert.match(String(warning?.["error"]), reason);
  });
}

test("redirects are followed, from https to https alone", async () => {
  await using server = await serving((request, response) => {
    if (request.url === "/keys") response.end(adaLine);
    else response.writeHead(301, { location: "/keys" }).end();
  });
  assert.equal((await (await method(byUrl(server.base)))()).kind, "accepted");
  const secure = await method(byUrl(server.base, { dangerouslyAllowHttp: false }));
  assert.equal((await secure()).kind, "denied");
  assert.deepEqual(server.asked, ["/ada.keys", "/keys"]);
});

test("when it goes down, the last answer is taken", async () => {
  let up = true;
  await using server = await serving((_, response) => void response.writeHead(up ? 200 : 500).end(adaLine));
  const fresh = await method(byUrl(server.base, { cacheSeconds: 0, staleSeconds: 3600 }));
  const strict = await method(byUrl(server.base, { cacheSeconds: 0, staleSeconds: 0 }));
  for (const attempt of [fresh, strict]) assert.equal((await attempt()).kind, "accepted");
  up = false;
  assert.equal((await fresh()).kind, "accepted");
  assert.equal((await strict()).kind, "denied");
});

test("a file on the upstream is read for keys that are proven alone, and not for each", async () => {
  const read: string[] = [];
  const upstreamFiles: UpstreamFiles = {
    place: "root@web1:22",
    read: async (path, maxBytes) => {
      read.push(`${path} ${maxBytes}`);
      return Buffer.from(`no-pty ${adaLine}`);
    },
  };
  const attempt = await method({ upstreamFile: parseTemplate(".ssh/authorized_keys") });
  for (const key of [ada, bob]) {
    assert.equal(
      (await attempt({ key, proven: false, upstreamFiles })).kind,
      "undecided",
      "all are answered alike",
    );
  }
  assert.deepEqual(read, []);
  assert.equal((await attempt({ key: bob, upstreamFiles })).kind, "denied");
  const verdict = await attempt({ upstreamFiles });
  assert.ok(verdict.kind === "accepted");
  assert.equal(verdict.restrictions?.[0]?.pty, false);
  assert.deepEqual(read, [".ssh/authorized_keys 262144"]);
  assert.equal(
    (await attempt({ proven: false, upstreamFiles })).kind,
    "undecided",
    "nor does the memory tell",
  );
  await attempt({ upstreamFiles: { ...upstreamFiles, place: "root@web2:22" } });
  assert.equal(read.length, 2, "each upstream has its own");
  assert.equal((await attempt()).kind, "denied", "a name that leads nowhere");
});

test("an upstream that cannot be read keeps the key out", async () => {
  const attempt = await method({ upstreamFile: parseTemplate("keys") });
  const answers = [
    async () => undefined,
    async () => {
      throw new publicKeyErrors.UPSTREAM_KEY_SOURCE_FAILED("no");
    },
  ];
  for (const [at, read] of answers.entries()) {
    assert.equal((await attempt({ upstreamFiles: { place: String(at), read } })).kind, "denied");
  }
});

test("what is listed counts before the upstream is asked", async () => {
  const attempt = await method({ keys: [adaLine], upstreamFile: parseTemplate("keys") });
  const read = async (): Promise<never> => assert.fail("asked");
  assert.equal((await attempt({ proven: false, upstreamFiles: { place: "a", read } })).kind, "accepted");
  assert.equal((await attempt({ upstreamFiles: { place: "a", read } })).kind, "accepted");
});

test("what the configuration may say", () => {
  const cases: readonly [object, RegExp | undefined][] = [
    [{ urls: ["https://keys.example/{user}.keys"] }, undefined],
    [{ urls: ["http://keys.example/{user}"], dangerouslyAllowHttp: true }, undefined],
    [{ urls: ["http://keys.example/{user}"] }, /must begin with https/],
    [{ urls: ["ftp://keys.example/{user}"] }, /cannot ask by ftp/],
    [{ urls: ["https://{user}.example/keys"] }, /behind the host only/],
    [{ urls: ["https://ada:secret@keys.example/{user}"] }, /can hold no password/],
    [{ urls: ["keys.example/{user}"] }, /is no address/],
    [{ upstreamFile: ".ssh/authorized_keys", cacheSeconds: "10s" }, undefined],
    [{ upstreamFile: "keys", timeoutSeconds: "1s" }, /no effect without urls/],
    [{ matched: true, verifyRequired: true }, undefined],
    [{ verifyRequired: true }, /give files, keys, users, urls, upstreamFile or matched/],
  ];
  for (const [config, problem] of cases) {
    const { error } = schema.safeParse({ kind: "publickey", ...config });
    if (problem === undefined) assert.equal(error, undefined, JSON.stringify(config));
    else assert.match(error?.issues.map(({ message }) => message).join() ?? "", problem);
  }
});
