/** Certificates that the gateway orders by itself, by ACME, at a real authority: for its own names, and for devices whose page is on. */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { type AcmeAuthority, startAcme } from "#test/support/acme";
import { domain, startWebStand, type WebStand } from "#test/support/device-web";
import { type Pieces, postern } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { missing } from "#test/support/strangers";
import { until, within } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl", "pebble", "pebble-challtestsrv");
let authority: AcmeAuthority;
let web: WebStand;
let port: number;

/** Certificates last seconds here, so that they are renewed before everybody's eyes. */
const validSeconds = 9;

async function startStand(
  acme: AcmeAuthority,
  at: number,
  more: Pieces = {},
  names: readonly string[] = ["gate.example"],
  workers = 1,
): Promise<WebStand> {
  return await startWebStand({
    config: {
      workers,
      listen: [{ address: `127.0.0.1:${at}`, entries: ["ssh", "tls", "web"], silentSeconds: "5s" }],
      tls: { gatewayNames: names, acme: { directory: acme.directory, agree: true, ...more } },
    },
    gateway: { env: { NODE_EXTRA_CA_CERTS: acme.certificate.certificate } },
  });
}

before(async () => {
  if (skip !== false) return;
  port = await freePort();
  authority = await startAcme({ tlsPort: port, validSeconds });
  web = await startStand(authority, port, {}, ["gate.example"], 2);
});
after(async () => {
  await web?.[Symbol.asyncDispose]();
  await authority?.[Symbol.asyncDispose]();
});

/** TLS as a browser begins it; undefined: it was refused. */
async function open(name: string, at: number = port): Promise<TLSSocket | undefined> {
  const socket = connect({ host: "127.0.0.1", port: at, servername: name, rejectUnauthorized: false });
  return await within(
    `an answer for ${name}`,
    new Promise<TLSSocket | undefined>((resolve) => {
      socket.on("error", () => resolve(undefined));
      socket.once("secureConnect", () => resolve(socket));
    }),
    60_000,
  );
}

async function shown(name: string): Promise<PeerCertificate | undefined> {
  const socket = await open(name);
  const certificate = socket?.getPeerCertificate();
  socket?.destroy();
  return certificate;
}

const orders = (name: string): number =>
  web.stand.gateway.events("acme-ordered").filter((line) => line["name"] === name).length;

test("the gateway's own names are ordered at once", { skip }, async () => {
  const { gateway } = web.stand;
  await gateway.waitForLog("a certificate", (line) => line.event === "acme-certificate");
  const certificate = await shown("gate.example");
  assert.match(String(certificate?.issuer.CN), /Pebble/);
  assert.equal(certificate?.subjectaltname, "DNS:gate.example");
});

test("a device's is ordered when somebody first goes there, and renewed while a connection lives on", {
  skip,
}, async () => {
  await web.device("kiosk7", "public");
  assert.equal(orders(`kiosk7.${domain}`), 0);
  const [first, second] = await Promise.all([open(`kiosk7.${domain}`), open(`KIOSK7.${domain}`)]);
  assert.equal(first?.getPeerCertificate().subjectaltname, `DNS:kiosk7.${domain}`);
  assert.equal(second?.getPeerCertificate().serialNumber, first?.getPeerCertificate().serialNumber);
  second?.destroy();
  assert.equal(orders(`kiosk7.${domain}`), 1);
  const before = first?.getPeerCertificate().serialNumber;
  await until("another certificate", async () => {
    const now = (await shown(`kiosk7.${domain}`))?.serialNumber;
    return now !== undefined && now !== before;
  });
  // What was there before goes on.
  const answered = new Promise<string>((resolve) =>
    first?.once("data", (chunk) => resolve(chunk.toString("latin1"))),
  );
  first?.write(`GET /a HTTP/1.1\r\nHost: kiosk7.${domain}\r\nConnection: close\r\n\r\n`);
  assert.match(await within("an answer", answered), /^HTTP\/1\.1 200 /);
  const { code, stdout } = await web.curl("kiosk7", "/b", ["--insecure"]);
  assert.deepEqual([code, stdout.toString()], [0, "GET /b\n"]);
});

test("nothing is ordered for other names: unknown, off, not approved, of no domain of ours", {
  skip,
}, async () => {
  await web.device("dark1", "off");
  const before = web.stand.gateway.events("acme-ordered").length;
  const names = [
    `dark1.${domain}`,
    `nobody.${domain}`,
    `a.kiosk7.${domain}`,
    "elsewhere.example",
    `..${domain}`,
    `*.${domain}`,
    `kiosk7.${domain}.`,
    `${"a".repeat(60)}.${domain}`,
    domain,
  ];
  for (const name of names) assert.equal(await open(name), undefined, name);
  const others = web.stand.gateway
    .events("acme-ordered")
    .slice(before)
    .filter(({ name }) => name !== `kiosk7.${domain}` && name !== "gate.example");
  assert.deepEqual(others, []);
});

test("keys and certificates are files for the gateway alone", { skip }, () => {
  const folder = web.stand.gateway.folder.at("state/acme");
  const [account = ""] = readdirSync(folder);
  const files = readdirSync(join(folder, account)).sort();
  assert.deepEqual(
    files.filter((file) => !file.endsWith(".lock")),
    ["account.key", "gate.example.pem", `kiosk7.${domain}.pem`],
  );
  for (const file of files) assert.equal(statSync(join(folder, account, file)).mode & 0o777, 0o600, file);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test("postern status tells of them", { skip }, async () => {
  const { stdout } = await postern(["status", "-c", web.stand.gateway.configFile]);
  assert.match(stdout.toString(), /certificates:\n {2}gate\.example: until \d{4}-/);
  const { stdout: json } = await postern(["status", "--json", "-c", web.stand.gateway.configFile]);
  const { certificates } = JSON.parse(json.toString()) as {
    certificates: { name: string; until?: string }[];
  };
  assert.deepEqual(
    certificates.map(({ name, until: end }) => [name, typeof end]),
    [
      ["gate.example", "string"],
      [`kiosk7.${domain}`, "string"],
    ],
  );
});

test("orders of any hour are bounded, and a reload keeps what was ordered", {
  skip,
}, async () => {
  const at = await freePort();
  await using acme = await startAcme({ tlsPort: at });
  await using stand = await startStand(acme, at, { ordersPerHour: 2 });
  const { gateway } = stand.stand;
  await gateway.waitForLog("the gateway's own", (line) => line.event === "acme-certificate");
  await stand.device("one1", "public");
  await stand.device("two2", "public");
  const first = await open(`one1.${domain}`, at);
  assert.ok(first !== undefined);
  first.destroy();
  // The third of the hour.
  assert.equal(await open(`two2.${domain}`, at), undefined);
  await gateway.waitForLog("the bound", (line) => line.event === "acme-not-ordered");
  assert.equal(gateway.events("acme-ordered").length, 2);
  // Another configuration keeps them, and the count.
  gateway.signal("SIGHUP");
  await gateway.waitForLog("the reload", (line) => line.event === "reloaded");
  const again = await open(`one1.${domain}`, at);
  assert.equal(again?.getPeerCertificate().subjectaltname, `DNS:one1.${domain}`);
  again?.destroy();
  assert.equal(gateway.events("acme-ordered").length, 2);
});

test("an authority that cannot be reached, or finds no proof: told, tried again later, and all else goes on", {
  skip,
}, async () => {
  const at = await freePort();
  // It looks for proofs where nobody is.
  await using acme = await startAcme({ tlsPort: await freePort() });
  await using stand = await startStand(acme, at);
  const { gateway } = stand.stand;
  const failed = await gateway.waitForLog("the failure", (line) => line.event === "acme-failed");
  assert.match(JSON.stringify(failed), /UPSTREAM_ACME"/);
  assert.ok(Date.parse(String(failed["nextTry"])) > Date.now());
  assert.equal(await open("gate.example", at), undefined);
  assert.equal(gateway.events("acme-ordered").length, 1);
  const { stdout } = await postern(["status", "-c", gateway.configFile]);
  assert.match(stdout.toString(), /gate\.example: none, failed: .*; next try after \d{4}-/);
  await acme[Symbol.asyncDispose]();
  await stand.device("one1", "public");
  assert.equal(await open(`one1.${domain}`, at), undefined);
  await gateway.waitForLog(
    "nobody there",
    (line) => line.event === "acme-failed" && JSON.stringify(line).includes("_AWAY"),
  );
});
