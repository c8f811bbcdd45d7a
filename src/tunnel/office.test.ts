import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, newcomerOf, startAuthority, type TestAuthority } from "#test/support/devices";

const by = { by: "operator:test" };
const { office, enrolment, store }: TestAuthority = startAuthority({ maxPending: 100 });

async function waiting(id: string, name: string): Promise<string> {
  const admission = await ask(enrolment, id);
  await enrolment.join(newcomerOf(id), admission, name);
  return admission.code;
}

test("who waits is approved by its code or id, and not by the name that it claims", async () => {
  const code = await waiting("a", "kiosk1");
  await assert.rejects(office.approve("kiosk1", {}, by), { code: "OPERATOR_DEVICE_CODE" });
  const device = await office.approve(code.toLowerCase().replace("-", ""), { ports: [22, 22, 80] }, by);
  assert.deepEqual(
    [device.state, device.name, device.ports, device.code],
    ["approved", "kiosk1", [22, 80], undefined],
  );
  await waiting("b", "kiosk2");
  const { id } = await office.find("kiosk2");
  assert.equal((await office.approve(id, {}, by)).state, "approved");
});

test("who was revoked may be approved again by its name", async () => {
  const code = await waiting("c", "kiosk3");
  await office.approve(code, {}, by);
  assert.equal((await office.revoke("kiosk3", by)).state, "revoked");
  assert.equal((await office.approve("kiosk3", { name: "kiosk3b" }, by)).name, "kiosk3b");
});

test("two that claim one name are told apart by their codes alone", async () => {
  await waiting("d", "twin");
  await waiting("e", "twin");
  await assert.rejects(office.deny("twin", by), { code: "OPERATOR_DEVICE_UNKNOWN" });
});

test("nothing odd is given to a device or a token", async () => {
  const code = await waiting("f", "kiosk4");
  const plan = { uses: 1, lifeMs: 1000, tags: [], ports: [22], web: "off", names: "*" } as const;
  for (const grant of [
    { tags: ["a b"] },
    { tags: [""] },
    { tags: ["x".repeat(65)] },
    { tags: Array.from({ length: 33 }, (_, n) => `t${n}`) },
    { ports: [0] },
    { ports: [65_536] },
    { ports: [1.5] },
    { ports: Array.from({ length: 65 }, (_, n) => n + 1) },
  ]) {
    await assert.rejects(office.approve(code, grant, by), { code: "OPERATOR_DEVICE_GRANT" });
    await assert.rejects(office.grant(code, grant, by), { code: "OPERATOR_DEVICE_GRANT" });
    await assert.rejects(office.makeToken({ ...plan, ...grant }), { code: "OPERATOR_DEVICE_GRANT" });
  }
  for (const wrong of [{ uses: 0 }, { uses: 0.5 }, { lifeMs: 0 }, { lifeMs: Number.NaN }])
    await assert.rejects(office.makeToken({ ...plan, ...wrong }), { code: "OPERATOR_DEVICE_GRANT" });
  assert.deepEqual(await store.tokens(), []);
  for (const name of ["../x", "a/b", "-a", "localhost", ""])
    await assert.rejects(office.approve(code, { name }, by), { code: "OPERATOR_DEVICE_NAME" }, name);
});
