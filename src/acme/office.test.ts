import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { silentLog } from "#base";
import type { AcmePlan, CertificatePair } from "#contract";
import { selfSigned } from "#test/support/certificates";
import { fakeClock } from "#test/support/fake-clock";
import { missing } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { acmeErrors } from "./errors.ts";
import { isCertifiable } from "./name.ts";
import { AcmeOffice } from "./office.ts";
import { keptOf, pairOf, textOf } from "./kept.ts";

const skip = missing("openssl");
const hourMs = 3_600_000;
const plan: AcmePlan = {
  directory: "https://acme.example/dir",
  agree: true,
  names: [],
  ordersPerHour: 10,
  maxNames: 3,
};
const never = new AbortController().signal;

let folder: TempDir;
const pairs = new Map<string, CertificatePair>();

async function pairFor(name: string): Promise<CertificatePair> {
  const known = pairs.get(name);
  if (known !== undefined) return known;
  const { certificate, key } = await selfSigned(folder, name, name);
  const pair = { certificate: readFileSync(certificate, "latin1"), key: readFileSync(key, "latin1") };
  pairs.set(name, pair);
  return pair;
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  for (const name of ["a.example", "b.example", "c.example", "d.example"]) await pairFor(name);
});
after(async () => await folder?.[Symbol.asyncDispose]());

/** An office whose authority does as it is told, with files that outlive it. */
function stand(files = new Map<string, string>(), startMs = Date.now()) {
  const clock = fakeClock(startMs);
  const ordered: string[] = [];
  const state: { error?: Error; held?: Promise<void> } = {};
  const office = new AcmeOffice({
    clock,
    log: silentLog,
    stateDir: "/state",
    random: () => 0,
    files: {
      read: async (path) => {
        const text = files.get(path);
        return text === undefined ? undefined : { bytes: Buffer.from(text), mode: 0o600 };
      },
      update: async (path, change) => {
        const text = change(files.get(path) ?? "");
        if (text !== undefined) files.set(path, text);
      },
    },
    authority: () => ({
      order: async (name, show) => {
        ordered.push(name);
        const pair = await pairFor(name);
        show(pair);
        await state.held;
        show(undefined);
        if (state.error !== undefined) throw state.error;
        return pair;
      },
    }),
  });
  return { office, clock, ordered, state, files };
}

const settled = async (): Promise<void> => {
  for (let n = 0; n < 50; n++) await new Promise<void>((resolve) => void setImmediate(resolve));
};

test("a name that somebody asks for is ordered once, kept, and read again by the next process", {
  skip,
}, async () => {
  const { office, ordered, files } = stand();
  const desk = office.desk(plan, [], (name) => name === "a.example");
  const found = await Promise.all([desk.find("a.example", never), desk.find("A.example", never)]);
  assert.deepEqual(ordered, ["a.example"]);
  assert.equal(found[0], found[1]);
  assert.deepEqual([...files.keys()], ["/state/acme/acme.example_dir/a.example.pem"]);
  const next = stand(files);
  const again = await next.office.desk(plan, [], () => true).find("a.example", never);
  assert.equal(again?.certificate.trim(), found[0]?.certificate.trim());
  assert.deepEqual(next.ordered, []);
});

test("names of the gateway are ordered when it begins, and not before", { skip }, async () => {
  const { office, ordered, clock } = stand();
  office.desk(plan, ["a.example"], () => false);
  await settled();
  assert.deepEqual(ordered, []);
  office.begin();
  await settled();
  assert.deepEqual(ordered, ["a.example"]);
  // The latest configuration counts.
  const old = office.desk(plan, ["b.example"], () => false);
  clock.advance(0);
  await settled();
  assert.deepEqual(ordered, ["a.example", "b.example"]);
  old[Symbol.dispose]();
  assert.equal(await old.find("c.example", never), undefined);
});

test("a third before its end the next is ordered, and the old one shown meanwhile", { skip }, async () => {
  const { office, ordered, clock } = stand();
  const desk = office.desk(plan, ["a.example"], () => false);
  office.begin();
  await settled();
  clock.advance(31 * hourMs);
  await settled();
  assert.deepEqual(ordered, ["a.example"]);
  clock.advance(2 * hourMs);
  await settled();
  // The authority of this test gives the same again, so it is still due, and tried at the next look, not at each.
  assert.ok(ordered.length >= 2);
  assert.notEqual(await desk.find("a.example", never), undefined);
  clock.advance(16 * hourMs);
  await settled();
  assert.equal(await desk.find("a.example", never), undefined, "it is over, and the next is the same");
});

test("after a failure a name waits, twice as long each time; others do not", { skip }, async () => {
  const { office, ordered, clock, state } = stand();
  const desk = office.desk(plan, [], () => true);
  state.error = new acmeErrors.UPSTREAM_ACME("no proof");
  assert.equal(await desk.find("a.example", never), undefined);
  assert.equal(await desk.find("a.example", never), undefined);
  assert.deepEqual(ordered, ["a.example"]);
  delete state.error;
  assert.notEqual(await desk.find("b.example", never), undefined);
  state.error = new acmeErrors.UPSTREAM_ACME("no proof");
  clock.advance(30_000);
  assert.equal(await desk.find("a.example", never), undefined);
  clock.advance(30_000);
  assert.equal(await desk.find("a.example", never), undefined);
  assert.deepEqual(ordered, ["a.example", "b.example", "a.example"]);
  assert.equal(
    office.states.find(({ name }) => name === "a.example")?.failed?.reason.includes("no proof"),
    true,
  );
  clock.advance(30_000);
  delete state.error;
  assert.notEqual(await desk.find("a.example", never), undefined);
});

test("an authority that is away is left alone for all names", { skip }, async () => {
  const { office, ordered, clock, state } = stand();
  const desk = office.desk(plan, [], () => true);
  state.error = new acmeErrors.UPSTREAM_ACME_AWAY("no answer");
  assert.equal(await desk.find("a.example", never), undefined);
  assert.equal(await desk.find("b.example", never), undefined);
  assert.deepEqual(ordered, ["a.example"]);
  delete state.error;
  clock.advance(30_000);
  assert.notEqual(await desk.find("b.example", never), undefined);
});

test("orders of an hour and names are bounded", { skip }, async () => {
  const { office, ordered, clock } = stand();
  const desk = office.desk({ ...plan, ordersPerHour: 2, maxNames: 3 }, [], () => true);
  for (const name of ["a.example", "b.example", "c.example"]) await desk.find(name, never);
  assert.deepEqual(ordered, ["a.example", "b.example"]);
  clock.advance(hourMs + 1);
  for (const name of ["c.example", "d.example"]) await desk.find(name, never);
  assert.deepEqual(ordered, ["a.example", "b.example", "c.example"]);
});

test("a client waits no longer than it is there; the order goes on, and its proof is shown meanwhile", {
  skip,
}, async () => {
  const { office, state } = stand();
  const desk = office.desk(plan, [], () => true);
  const held = Promise.withResolvers<void>();
  state.held = held.promise;
  const left = new AbortController();
  const waiting = desk.find("a.example", left.signal);
  await settled();
  assert.notEqual(await desk.proof("A.example"), undefined);
  assert.equal(await desk.proof("b.example"), undefined);
  left.abort();
  assert.equal(await waiting, undefined);
  held.resolve();
  assert.notEqual(await desk.find("a.example", never), undefined);
  assert.equal(await desk.proof("a.example"), undefined);
});

test("what an authority gives out is looked at; a file that is broken is ordered anew", {
  skip,
}, async () => {
  const { office, ordered, files } = stand();
  files.set("/state/acme/acme.example_dir/a.example.pem", "rubbish");
  const wrong = textOf(await pairFor("b.example"));
  files.set("/state/acme/acme.example_dir/c.example.pem", wrong);
  const desk = office.desk(plan, [], () => true);
  assert.notEqual(await desk.find("a.example", never), undefined);
  assert.notEqual(await desk.find("c.example", never), undefined);
  assert.deepEqual(ordered, ["a.example", "c.example"]);
  const [a, b] = [await pairFor("a.example"), await pairFor("b.example")];
  assert.throws(() => keptOf("a.example", { certificate: a.certificate, key: b.key }, 0), /another's/);
  assert.throws(() => keptOf("a.example", b, 0), /another name/);
  assert.deepEqual(pairOf(textOf(a)).certificate.trim(), a.certificate.trim());
});

test("which names a certificate can be had for", () => {
  for (const name of ["a.example", "kiosk7.devices.example.com", "xn--bcher-kva.example", "a-b.co"])
    assert.equal(isCertifiable(name), true, name);
  const no = [
    "",
    "localhost",
    "127.0.0.1",
    "a..b",
    ".a.b",
    "a.b.",
    "*.a.example",
    "-a.example",
    "a-.example",
    "A.example",
  ];
  for (const name of [
    ...no,
    "../../etc/passwd",
    "a/b.example",
    "a_b.example",
    "::1",
    `${"a".repeat(64)}.example`,
  ])
    assert.equal(isCertifiable(name), false, name);
});
