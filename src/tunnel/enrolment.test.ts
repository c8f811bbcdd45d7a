import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewJoinToken } from "#contract";
import { ask, day, newcomerOf, startAuthority } from "#test/support/devices";

const by = { by: "ada" };
const forKiosks: NewJoinToken = {
  tags: ["shop"],
  ports: [22, 80],
  web: "login",
  names: "kiosk*",
  uses: 1,
  lifeMs: day,
};

test("an unknown key waits with a code, the same each time, until an operator approves it", async () => {
  const { enrolment, office } = startAuthority();
  const admission = await ask(enrolment, "a");
  assert.match(admission.code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
  assert.deepEqual(await ask(enrolment, "a"), admission);
  assert.deepEqual(await enrolment.join(newcomerOf("a"), admission, "Kiosk7"), {
    kind: "waiting",
    code: admission.code,
  });
  const asking = await office.find(admission.code.toLowerCase().replace("-", ""));
  assert.equal(asking.name, "kiosk7");
  const device = await office.approve(admission.code, { tags: ["shop"], ports: [22, 80] }, by);
  assert.deepEqual(await enrolment.standing(newcomerOf("a"), {}), { kind: "device", device });
  assert.deepEqual(
    [device.name, device.state, device.tags, device.ports, device.code],
    ["kiosk7", "approved", ["shop"], [22, 80], undefined],
  );
  assert.deepEqual(
    (await office.log("kiosk7", 10)).map(({ event, by: who }) => [event, who]),
    [
      ["approved", "ada"],
      ["asked", "192.0.2.7"],
    ],
  );
});

test("a device without a wished name needs one to be approved", async () => {
  const { enrolment, office } = startAuthority();
  const { code } = await ask(enrolment, "a");
  await assert.rejects(office.approve(code, {}, by), { code: "OPERATOR_DEVICE_NAME" });
  await assert.rejects(office.approve(code, { name: "../etc" }, by), { code: "OPERATOR_DEVICE_NAME" });
  assert.equal((await office.approve(code, { name: "Till-1" }, by)).name, "till-1");
});

test("who is denied or revoked may not ask again; who is removed may", async () => {
  const { enrolment, office } = startAuthority();
  await office.deny((await ask(enrolment, "a")).code, by);
  assert.equal((await enrolment.standing(newcomerOf("a"), {})).kind, "refused");
  const { token } = await office.makeToken(forKiosks);
  assert.equal((await enrolment.standing(newcomerOf("a"), { token })).kind, "refused");
  const { code } = await ask(enrolment, "b");
  await office.approve(code, { name: "b" }, by);
  await office.revoke("b", by);
  assert.equal((await enrolment.standing(newcomerOf("b"), {})).kind, "refused");
  assert.equal((await enrolment.standing(newcomerOf("b"), { names: ["b"] })).kind, "refused");
  await office.remove("b", by);
  assert.notEqual((await ask(enrolment, "b")).code, code);
});

test("strangers cannot fill the list, nor stay in it", async () => {
  const { enrolment, office, clock } = startAuthority({ maxPending: 2 });
  await ask(enrolment, "a");
  await ask(enrolment, "b");
  assert.equal((await enrolment.standing(newcomerOf("c"), {})).kind, "refused");
  const { token } = await office.makeToken(forKiosks);
  assert.equal((await enrolment.standing(newcomerOf("c"), { token })).kind, "newcomer");
  clock.advance(day + 1);
  await ask(enrolment, "d");
  const there: string[] = [];
  for await (const { fingerprint } of office.list()) there.push(fingerprint);
  assert.deepEqual(there, ["SHA256:d"]);
});

test("unknown keys are refused where nobody is to wait", async () => {
  const { enrolment } = startAuthority({ pending: false });
  assert.equal((await enrolment.standing(newcomerOf("a"), {})).kind, "refused");
});

test("a token makes a device of a key, for a name that it is for, as often as it may", async () => {
  const { enrolment, office } = startAuthority();
  const { token } = await office.makeToken(forKiosks);
  const admission = { by: "token", token } as const;
  assert.deepEqual(await enrolment.standing(newcomerOf("a"), { token }), { kind: "newcomer", admission });
  assert.equal((await enrolment.join(newcomerOf("a"), admission, "till1")).kind, "refused");
  const joined = await enrolment.join(newcomerOf("a"), admission, "kiosk7");
  assert.ok(joined.kind === "device");
  assert.deepEqual(
    [joined.device.name, joined.device.tags, joined.device.ports, joined.device.web],
    ["kiosk7", ["shop"], [22, 80], "login"],
  );
  assert.equal((await enrolment.standing(newcomerOf("b"), { token })).kind, "refused");
  assert.equal((await enrolment.join(newcomerOf("b"), admission, "kiosk8")).kind, "refused");
});

test("a token used at once by two keys makes one device", async () => {
  const { enrolment, office } = startAuthority();
  const { token } = await office.makeToken(forKiosks);
  const admission = { by: "token", token } as const;
  const joined = await Promise.all(
    ["a", "b", "c"].map(async (id) => await enrolment.join(newcomerOf(id), admission, `kiosk-${id}`)),
  );
  assert.deepEqual(joined.map(({ kind }) => kind).sort(), ["device", "refused", "refused"]);
});

test("a token ends with its time, is taken back, and is not kept as it is", async () => {
  const { enrolment, office, clock, store } = startAuthority({ pending: false });
  const first = await office.makeToken(forKiosks);
  const second = await office.makeToken({ ...forKiosks, lifeMs: 2 * day });
  assert.ok(!JSON.stringify(await store.tokens()).includes(first.token));
  clock.advance(day);
  assert.equal((await enrolment.standing(newcomerOf("a"), { token: first.token })).kind, "refused");
  assert.equal((await enrolment.standing(newcomerOf("a"), { token: second.token })).kind, "newcomer");
  await office.removeToken(second.record.id);
  assert.equal((await enrolment.standing(newcomerOf("a"), { token: second.token })).kind, "refused");
  await assert.rejects(office.removeToken(second.record.id), { code: "OPERATOR_DEVICE_UNKNOWN" });
});

test("a token does not take another device's name, and is not used up by trying", async () => {
  const { enrolment, office } = startAuthority();
  const { token } = await office.makeToken(forKiosks);
  const admission = { by: "token", token } as const;
  await office.approve((await ask(enrolment, "a")).code, { name: "kiosk7" }, by);
  assert.equal((await enrolment.join(newcomerOf("b"), admission, "kiosk7")).kind, "refused");
  assert.equal((await enrolment.join(newcomerOf("b"), admission, "kiosk8")).kind, "device");
});

test("a certificate's names are the device's to choose from, and no others", async () => {
  const { enrolment } = startAuthority();
  const standing = await enrolment.standing(newcomerOf("a"), { names: ["kiosk7"] });
  assert.ok(standing.kind === "newcomer");
  assert.equal((await enrolment.join(newcomerOf("a"), standing.admission, "kiosk8")).kind, "refused");
  const joined = await enrolment.join(newcomerOf("a"), standing.admission, "kiosk7");
  assert.ok(joined.kind === "device");
  assert.deepEqual([joined.device.cameBy, joined.device.tags], ["certificate", ["certified"]]);
  assert.equal((await enrolment.join(newcomerOf("b"), standing.admission, "kiosk7")).kind, "refused");
});

test("a device offers what was approved under its own name, and nothing else", async () => {
  const { enrolment, office } = startAuthority();
  const { code } = await ask(enrolment, "a");
  const device = await office.approve(code, { name: "kiosk7", ports: [22, 2201] }, by);
  const none = new Set<number>();
  const bound = (port: number): unknown => ({ kind: "bound", port, device });
  assert.deepEqual(await enrolment.bind(device, "kiosk7", 22, none), bound(22));
  assert.deepEqual(await enrolment.bind(device, "KIOSK7", 2201, none), bound(2201));
  assert.deepEqual(await enrolment.bind(device, undefined, 2201, none), bound(2201));
  assert.deepEqual(await enrolment.bind(device, undefined, 0, none), bound(22));
  assert.deepEqual(await enrolment.bind(device, undefined, 0, new Set([22])), bound(2201));
  for (const [name, port] of [
    ["kiosk8", 22],
    ["kiosk7", 80],
    [undefined, 2202],
    ["", 22],
    ["localhost", 22],
    ["127.0.0.1", 22],
    ["../kiosk7", 22],
    ["kiosk8", 0],
  ] as const)
    assert.equal((await enrolment.bind(device, name, port, none)).kind, "refused", `${name}:${port}`);
  assert.equal((await enrolment.bind(device, undefined, 0, new Set([22, 2201]))).kind, "refused");
});

test("what a device may offer is what holds when it asks, not when it logged in", async () => {
  const { enrolment, office } = startAuthority();
  const { code } = await ask(enrolment, "a");
  const device = await office.approve(code, { name: "kiosk7", ports: [22, 80] }, by);
  await office.grant("kiosk7", { ports: [22] }, by);
  assert.equal((await enrolment.bind(device, "kiosk7", 80, new Set())).kind, "refused");
  await office.revoke("kiosk7", by);
  assert.equal((await enrolment.bind(device, "kiosk7", 22, new Set())).kind, "refused");
});

test("who says no name waits without one, unless its certificate says it", async () => {
  const { enrolment, office, store } = startAuthority();
  const admission = await ask(enrolment, "a");
  assert.equal((await enrolment.join(newcomerOf("a"), admission, undefined)).kind, "waiting");
  assert.equal((await store.byFingerprint("SHA256:a"))?.name, "");
  for (const no of ["localhost", "127.0.0.1", "*", ""])
    assert.equal((await enrolment.join(newcomerOf("a"), admission, no)).kind, "refused", no);
  await enrolment.join(newcomerOf("a"), admission, "kiosk7");
  assert.equal((await store.byFingerprint("SHA256:a"))?.name, "kiosk7");
  const { token } = await office.makeToken({
    uses: 1,
    lifeMs: day,
    tags: [],
    ports: [22],
    web: "off",
    names: "*",
  });
  const joining = { by: "token", token } as const;
  assert.equal((await enrolment.join(newcomerOf("b"), joining, undefined)).kind, "refused");
  assert.equal((await enrolment.join(newcomerOf("b"), joining, "kiosk8")).kind, "device");
  const certified = { by: "certificate", names: ["kiosk9"] } as const;
  assert.equal((await enrolment.join(newcomerOf("c"), certified, undefined)).kind, "device");
  const two = { by: "certificate", names: ["kiosk10", "kiosk11"] } as const;
  assert.equal((await enrolment.join(newcomerOf("d"), two, undefined)).kind, "refused");
});

test("a name is one approved device's, whatever is tried", async () => {
  const { enrolment, office } = startAuthority();
  await office.approve((await ask(enrolment, "a")).code, { name: "kiosk7" }, by);
  const { code } = await ask(enrolment, "b");
  await enrolment.join(newcomerOf("b"), { by: "pending", code }, "kiosk7");
  await assert.rejects(office.approve(code, {}, by), { code: "OPERATOR_DEVICE_NAME_TAKEN" });
  await office.approve(code, { name: "kiosk8" }, by);
  await assert.rejects(office.rename("kiosk8", "kiosk7", by), { code: "OPERATOR_DEVICE_NAME_TAKEN" });
  await office.revoke("kiosk7", by);
  assert.equal((await office.rename("kiosk8", "kiosk7", by)).name, "kiosk7");
});

test("comings and goings are noted together, a second later or at the end", async () => {
  const { enrolment, office, clock } = startAuthority();
  const device = await office.approve((await ask(enrolment, "a")).code, { name: "kiosk7" }, by);
  enrolment.seen(device, true, "192.0.2.9");
  assert.equal((await office.find("kiosk7")).lastFrom, "192.0.2.7");
  clock.advance(1000);
  assert.equal((await office.find("kiosk7")).lastFrom, "192.0.2.9");
  enrolment.seen(device, false, "192.0.2.9");
  await enrolment[Symbol.asyncDispose]();
  assert.equal((await office.log("kiosk7", 1))[0]?.event, "offline");
});

test("one key that asks for ten thousand names is one device that waits, with one line in its log", async () => {
  const { enrolment, store } = startAuthority();
  const admission = await ask(enrolment, "a");
  for (let n = 0; n < 10_000; n++)
    assert.equal((await enrolment.join(newcomerOf("a"), admission, `kiosk${n}`)).kind, "waiting");
  const all = await store.list({ limit: 10 });
  assert.deepEqual(
    all.map(({ name }) => name),
    ["kiosk9999"],
  );
  assert.equal((await store.logOf(all[0]?.id ?? "", 10)).length, 1);
});

test("asking for the same name again changes nothing, so nobody is woken", async () => {
  const { enrolment, store } = startAuthority();
  const admission = await ask(enrolment, "a");
  await enrolment.join(newcomerOf("a"), admission, "kiosk7");
  let woken = 0;
  await new Promise((done) => setImmediate(done));
  using _ = store.watch(() => void woken++);
  for (let n = 0; n < 10; n++) await enrolment.join(newcomerOf("a"), admission, "kiosk7");
  await new Promise((done) => setImmediate(done));
  assert.equal(woken, 0);
});

test("a clock that jumps leaves devices what they are; tokens end by the clock", async () => {
  const { clock, enrolment, office } = startAuthority();
  const device = await office.approve((await ask(enrolment, "a")).code, { name: "kiosk7" }, by);
  const { token } = await office.makeToken({
    uses: 9,
    lifeMs: day,
    tags: [],
    ports: [22],
    web: "off",
    names: "*",
  });
  const startMs = clock.now();
  for (const toMs of [startMs + 3650 * day, startMs - 3650 * day, startMs, startMs + 2 * day]) {
    clock.jump(toMs);
    const standing = await enrolment.standing(newcomerOf("a"), {});
    assert.equal(standing.kind, "device", `${toMs}`);
    assert.equal((await enrolment.bind(device, "kiosk7", 22, new Set())).kind, "bound");
    const joining = await enrolment.standing(newcomerOf(`b${toMs}`), { token });
    assert.equal(joining.kind === "newcomer", toMs < startMs + day, `${toMs}`);
  }
});
