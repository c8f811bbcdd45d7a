/** An authority over devices with a store in memory and a clock that stands still. */
import { silentLog } from "#base";
import type { Admission, Device, DeviceConnection, DeviceOffice, DeviceStore, Newcomer } from "#contract";
import { openMemoryStore } from "#store";
import { FakeClock } from "#test/support/fake-clock";
import { Enrolment, type EnrolmentPlan, Office, Operator } from "#tunnel";

export { openMemoryStore };

export const day: number = 24 * 3600 * 1000;

export interface TestAuthority {
  readonly clock: FakeClock;
  readonly store: DeviceStore;
  readonly enrolment: Enrolment;
  readonly office: Office;
  /** The office for somebody, while no device is there. */
  readonly operator: (by: string) => DeviceOffice;
}

export function startAuthority(plan: Partial<EnrolmentPlan> = {}): TestAuthority {
  const clock = new FakeClock();
  const store = openMemoryStore();
  const whole: EnrolmentPlan = {
    pending: true,
    maxPending: 3,
    pendingMs: day,
    certificate: { tags: ["certified"], ports: [22, 80], always: false },
    ports: [22],
    ...plan,
  };
  const enrolment = new Enrolment({ store, plan: whole, clock, log: silentLog });
  const operator = (by: string): DeviceOffice => new Operator(store, clock, by, () => []);
  return { clock, store, enrolment, office: new Office(store, clock), operator };
}

export function newcomerOf(id: string): Newcomer {
  return { fingerprint: `SHA256:${id}`, key: `ssh-ed25519 ${id}`, from: "192.0.2.7" };
}

/** The admission of a key that is to wait. Throws if it is anything else. */
export async function ask(enrolment: Enrolment, id: string): Promise<Admission & { by: "pending" }> {
  const standing = await enrolment.standing(newcomerOf(id), {});
  if (standing.kind !== "newcomer" || standing.admission.by !== "pending")
    throw new Error(`expected to wait: ${JSON.stringify(standing)}`);
  return standing.admission;
}

export interface TestConnection extends DeviceConnection {
  readonly dropped: string[];
}

/** A live connection that notes why it was dropped, and opens nothing. */
export function connectionOf(device: Device): TestConnection {
  const dropped: string[] = [];
  return {
    device,
    from: "192.0.2.7",
    sinceMs: 0,
    dropped,
    open: () => Promise.reject(new Error("nothing is opened here")),
    drop: (why) => void dropped.push(why),
  };
}
