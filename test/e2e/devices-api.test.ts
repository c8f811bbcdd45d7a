/** The authority over devices by HTTP, with curl and real ssh: docs/device-api.md. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { type CertificatePair, selfSigned } from "#test/support/certificates";
import { run } from "#test/support/child";
import { type DeviceJson, deviceRule, type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { configText, postern, type Pieces } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { type TempDir, tempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl", "curl");
const host = "device-api.example";

interface Made {
  readonly token: string;
  readonly entry: Pieces;
}

let folder: TempDir;
let certificate: CertificatePair;
let stand: DeviceStand;
let console: Made;
let reader: Made;

async function apiToken(name: string, ...scopes: readonly string[]): Promise<Made> {
  const words = scopes.flatMap((scope) => ["-s", scope]);
  const { code, stdout, stderr } = await postern(["device", "api-token", name, ...words, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.toString()) as Made;
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  certificate = await selfSigned(folder, "api", host);
  console = await apiToken("console", "read", "decide", "join-tokens");
  reader = await apiToken("dashboard");
  stand = await startDeviceStand({
    devices: { api: { host, tokens: [console.entry, reader.entry] } },
    config: {
      listen: [{ address: "127.0.0.1:0", entries: ["ssh", "web"], silentSeconds: "5s" }],
      tls: { certificates: [certificate] },
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 },
    },
  });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly version: string;
  readonly body: unknown;
}

async function curl(token: string, method: string, path: string, body?: object): Promise<Answer> {
  const { port } = stand.gateway;
  const { code, stdout, stderr } = await run(stranger("curl"), [
    "-sS",
    "--noproxy",
    "*",
    "--cacert",
    certificate.certificate,
    "--resolve",
    `${host}:${port}:127.0.0.1`,
    "-X",
    method,
    "-w",
    "\n%{http_code} %{http_version}",
    "-H",
    `Authorization: Bearer ${token}`,
    ...(body === undefined ? [] : ["--json", JSON.stringify(body)]),
    `https://${host}:${port}${path}`,
  ]);
  assert.equal(code, 0, stderr);
  const lines = stdout.toString().trimEnd().split("\n");
  const [status = "", version = ""] = (lines.pop() ?? "").split(" ");
  return { status: Number(status), version, body: JSON.parse(lines.join("\n")) };
}

test("a device asks, is approved by its code, is reached, and is cut off: all by HTTP", {
  skip,
}, async () => {
  const key = stand.key("kiosk1");
  const asked = await runSsh(stand.gateway.target("device", key.path), [], {
    flags: ["-N", "-R", "kiosk1:22:localhost:22"],
    options: ["ExitOnForwardFailure=yes"],
  });
  const code = /Its code is (\S+);/.exec(asked.stderr)?.[1] ?? assert.fail(asked.stderr);
  const waiting = await curl(reader.token, "GET", "/v1/devices?state=pending");
  assert.partialDeepStrictEqual(waiting, {
    status: 200,
    version: "1.1",
    body: { devices: [{ code, name: "kiosk1" }] },
  });
  const no = await curl(reader.token, "POST", `/v1/devices/${code}/approve`, {});
  assert.partialDeepStrictEqual(no, { status: 403, body: { code: "FORBIDDEN" } });
  const approved = await curl(console.token, "POST", `/v1/devices/${code}/approve`, { tags: ["hall1"] });
  assert.partialDeepStrictEqual(approved, {
    status: 200,
    body: { state: "approved", decidedBy: "api:console" },
  });
  await using held = stand.hold(key, ["-R", `kiosk1:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk1");
  assert.equal((await stand.jump("kiosk1", "echo $PLACE")).stdout.toString(), "device\n");
  assert.partialDeepStrictEqual((await curl(reader.token, "GET", "/v1/devices/kiosk1")).body, {
    online: true,
    tunnels: [{ port: 22 }],
  });
  // The command line and HTTP say the same of it.
  const [said] = await stand.office<DeviceJson[]>("ls");
  assert.deepEqual((await curl(reader.token, "GET", "/v1/devices/kiosk1")).body, said);
  assert.equal((await curl(console.token, "POST", "/v1/devices/kiosk1/revoke")).status, 200);
  assert.equal((await held.ended).code, 255);
  const log = await stand.office<{ event: string; by: string }[]>("log", "kiosk1");
  assert.ok(log.some(({ event, by }) => event === "revoked" && by === "api:console"));
  const audit = await readFile(stand.folder.at("audit.jsonl"), "utf8");
  const acts = audit
    .split("\n")
    .flatMap((line) => (line.includes('"office"') ? [JSON.parse(line) as Record<string, unknown>] : []));
  assert.deepEqual(
    acts.map(({ act, outcome, by }) => [act, outcome, by]),
    [
      ["approve", "refused", "dashboard"],
      ["approve", "done", "console"],
      ["revoke", "done", "console"],
    ],
  );
  for (const { token } of [console, reader]) assert.ok(!audit.includes(token));
  assert.ok(!JSON.stringify(stand.gateway.logs()).includes(console.token));
});

test("a join token by HTTP brings a device in, once", { skip }, async () => {
  const { status, body } = await curl(console.token, "POST", "/v1/join-tokens", {
    names: "kiosk*",
    tags: ["hall2"],
  });
  assert.equal(status, 201);
  const { token } = body as { token: string };
  const join = async (name: string): Promise<number | null> =>
    (await runSsh(stand.gateway.target(`join+${token}`, stand.key(name).path), [name])).code;
  assert.equal(await join("kiosk2"), 0);
  assert.notEqual(await join("kiosk3"), 0);
  assert.partialDeepStrictEqual((await curl(reader.token, "GET", "/v1/devices?tag=hall2")).body, {
    devices: [{ name: "kiosk2", online: false }],
  });
});

test("a token that is taken out of the configuration holds no longer", { skip }, async () => {
  const other = await apiToken("other");
  assert.equal((await curl(other.token, "GET", "/v1/devices")).status, 401);
  const config = JSON.parse(await readFile(stand.gateway.configFile, "utf8")) as {
    devices: { api: { tokens: Pieces[] } };
  };
  const write = async (tokens: readonly Pieces[]): Promise<void> => {
    const devices = { api: { host, tokens } };
    await writeFile(stand.gateway.configFile, configText({ ...config, devices }));
    const { code, stderr } = await postern(["reload", "-c", stand.gateway.configFile]);
    assert.equal(code, 0, stderr);
  };
  await write([console.entry, other.entry]);
  assert.equal((await curl(other.token, "GET", "/v1/devices")).status, 200);
  assert.equal((await curl(reader.token, "GET", "/v1/devices")).status, 401);
  await write([console.entry, reader.entry]);
  assert.equal((await curl(other.token, "GET", "/v1/devices")).status, 401);
});

test("without TLS nothing is asked, and elsewhere nothing answers", { skip }, async () => {
  const { port } = stand.gateway;
  const plain = await run(stranger("curl"), [
    "-sS",
    "--noproxy",
    "*",
    "-w",
    "%{http_code}",
    "-o",
    "/dev/null",
    "-H",
    `Host: ${host}`,
    "-H",
    `Authorization: Bearer ${console.token}`,
    `http://127.0.0.1:${port}/v1/devices`,
  ]);
  assert.equal(plain.stdout.toString(), "403");
  const other = await run(stranger("curl"), [
    "-sS",
    "--noproxy",
    "*",
    "--cacert",
    certificate.certificate,
    "-w",
    "%{http_code}",
    "-o",
    "/dev/null",
    "--resolve",
    `${host}:${port}:127.0.0.1`,
    "-H",
    "Host: other.example",
    `https://${host}:${port}/v1/devices`,
  ]);
  assert.equal(other.stdout.toString(), "421");
  const nowhere = await run(stranger("curl"), [
    "-sS",
    "--noproxy",
    "*",
    "-k",
    "--resolve",
    `other.example:${port}:127.0.0.1`,
    `https://other.example:${port}/v1/devices`,
  ]);
  assert.notEqual(nowhere.code, 0);
});

test("postern check says what an API needs", { skip }, async () => {
  const hostKeys = [stand.gateway.hostKeys[0]?.path];
  const problems = async (config: Pieces): Promise<string> => {
    const file = folder.at("check.yaml");
    const listen = [{ address: "127.0.0.1:0", entries: ["ssh", "web"] }];
    await writeFile(file, configText({ listen, hostKeys, rules: [deviceRule], ...config }));
    const { stdout, stderr } = await postern(["check", "-c", file]);
    return `${stdout.toString()}${stderr}`;
  };
  assert.match(await problems({ devices: { api: { host } } }), /needs a certificate for device-api\.example/);
  const tls = { certificates: [certificate] };
  assert.match(await problems({ tls, devices: { api: { host } } }), /nobody can use it/);
  assert.match(
    await problems({ tls, devices: { api: { host }, web: { domain: "example" } } }),
    /a device could have that name/,
  );
  assert.match(
    await problems({ listen: ["127.0.0.1:0"], devices: { api: { host } } }),
    /has no effect: no listener takes web/,
  );
});
