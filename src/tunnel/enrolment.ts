import { createHash } from "node:crypto";
import { type Clock, type Log, randomId, type Timer } from "#base";
import type {
  Admission,
  Along,
  Binding,
  Certified,
  ChangeResult,
  Device,
  DeviceAuthority,
  DeviceStore,
  InsertResult,
  Joined,
  JoinToken,
  Newcomer,
  NewcomerProof,
  Sight,
  Standing,
} from "#contract";
import { matchPattern } from "#ssh/keys";
import { type CertificatePlan, issueCertificate } from "./certificates.ts";
import { deviceName } from "./name.ts";

/** What the configuration says about new devices. */
export interface EnrolmentPlan {
  /** Keys that nobody knows may ask, and wait for an operator. */
  readonly pending: boolean;
  /** How many may wait: any stranger can be one. */
  readonly maxPending: number;
  readonly pendingMs: number;
  /** What devices that come by a certificate may offer. */
  readonly certificate: {
    readonly tags: readonly string[];
    readonly ports: readonly number[];
    /** Such a device must show a certificate that holds at each login; else its key is enough from the first on. */
    readonly always: boolean;
  };
  /** Absent: devices are given no certificates. */
  readonly issue?: CertificatePlan;
  /** What pending devices are given unless the operator says otherwise. */
  readonly ports: readonly number[];
}

export interface EnrolmentOptions {
  readonly store: DeviceStore;
  readonly plan: EnrolmentPlan;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long a token's text is: 130 bits, in letters that are easy to read. */
export const tokenChars = 26;

/** Characters of what a stranger said, in an answer or the log. */
const maxSaidChars = 100;

/** Milliseconds for which comings and goings are gathered. */
const sightMs = 1000;

/** Two groups of four, 40 bits: an operator types it, and nobody else can use it. */
export function newCode(): string {
  const letters = randomId(8).toUpperCase();
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** A code is for pending devices alone. */
export function withoutCode(device: Device): Device {
  const { code, ...rest } = device;
  return code === undefined ? device : rest;
}

export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** The authority as the gateway asks it. */
export class Enrolment implements DeviceAuthority, AsyncDisposable {
  readonly #options: EnrolmentOptions;

  #sights: Sight[] = [];
  #noting: Timer | undefined;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  async standing(newcomer: Newcomer, proof: NewcomerProof): Promise<Standing> {
    const known = await this.#options.store.byFingerprint(newcomer.fingerprint);
    if (known !== undefined && known.state !== "pending")
      return this.#lapsed(known, proof)
        ? { kind: "refused", reason: "it shows no certificate that holds" }
        : standingOf(known);
    if (proof.names !== undefined && proof.names.length > 0)
      return { kind: "newcomer", admission: { by: "certificate", names: proof.names } };
    if (proof.token !== undefined) {
      // Only looked at here: it is used up when the device has said its name.
      if ((await this.#token(proof.token)) === undefined)
        return { kind: "refused", reason: "the join token is unknown, used up or expired" };
      return { kind: "newcomer", admission: { by: "token", token: proof.token } };
    }
    if (known?.code !== undefined)
      return { kind: "newcomer", admission: { by: "pending", code: known.code } };
    if (!this.#options.plan.pending) return { kind: "refused", reason: "the key is no device's" };
    return await this.#ask(newcomer);
  }

  async join(newcomer: Newcomer, admission: Admission, said: string | undefined): Promise<Joined> {
    const wished = said ?? onlyName(admission);
    // An operator can give it a name; nobody else can.
    if (wished === undefined && admission.by === "pending")
      return await this.#wish(newcomer, admission.code, undefined);
    if (wished === undefined) return { kind: "refused", reason: "it has not said its name" };
    const name = deviceName(wished);
    if (name === undefined)
      return {
        kind: "refused",
        reason: `${JSON.stringify(wished.slice(0, maxSaidChars))} can be no device's name`,
      };
    switch (admission.by) {
      case "pending":
        return await this.#wish(newcomer, admission.code, name);
      case "token":
        return await this.#joinByToken(newcomer, admission.token, name);
      case "certificate":
        if (!admission.names.includes(name))
          return { kind: "refused", reason: `the certificate is not for ${name}` };
        return await this.#admit(newcomer, name, {
          tags: this.#options.plan.certificate.tags,
          ports: this.#options.plan.certificate.ports,
          web: "off",
          cameBy: "certificate",
        });
    }
  }

  async bind(
    { id }: Device,
    said: string | undefined,
    port: number,
    held: ReadonlySet<number>,
  ): Promise<Binding> {
    const device = await this.#options.store.byId(id);
    if (device?.state !== "approved") return { kind: "refused", reason: "its approval was withdrawn" };
    if (said !== undefined && deviceName(said) !== device.name)
      return { kind: "refused", reason: `its name is ${device.name}` };
    if (port === 0) {
      const free = device.ports.find((each) => !held.has(each));
      return free === undefined
        ? { kind: "refused", reason: "it holds all ports that were approved" }
        : { kind: "bound", port: free, device };
    }
    if (!device.ports.includes(port)) return { kind: "refused", reason: `port ${port} was not approved` };
    return { kind: "bound", port, device };
  }

  get certificateSeconds(): number | undefined {
    return this.#options.plan.issue?.validSeconds;
  }

  async certify({ id }: Device): Promise<Certified> {
    const { store, plan, clock, log } = this.#options;
    const device = await store.byId(id);
    if (device?.state !== "approved") return { kind: "refused", reason: "its approval was withdrawn" };
    if (plan.issue === undefined) return { kind: "refused", reason: "this gateway gives no certificates" };
    const { line, serial, untilMs } = await issueCertificate(device, plan.issue, clock);
    // Nobody who was revoked while it was signed has it.
    if ((await store.byId(id))?.state !== "approved")
      return { kind: "refused", reason: "its approval was withdrawn" };
    const until = new Date(untilMs).toISOString();
    log.info("device-certified", { device: device.name, serial, until });
    const detail = `serial ${serial}, until ${until}`;
    await store.log({ atMs: clock.now(), device: id, event: "certified", by: "gateway", detail });
    return { kind: "certificate", line, untilMs };
  }

  seen(device: Device, online: boolean, from: string): void {
    const { clock } = this.#options;
    this.#sights.push({ device: device.id, atMs: clock.now(), from, online });
    // Thousands come back at once after a restart: one write to the disk for each would hold up their logins.
    this.#noting ??= clock.after(sightMs, () => void this.#noteSights());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#noteSights();
  }

  #lapsed({ state, cameBy }: Device, { names = [] }: NewcomerProof): boolean {
    const { always } = this.#options.plan.certificate;
    return always && state === "approved" && cameBy === "certificate" && names.length === 0;
  }

  async #noteSights(): Promise<void> {
    this.#noting?.[Symbol.dispose]();
    this.#noting = undefined;
    const sights = this.#sights;
    this.#sights = [];
    if (sights.length === 0) return;
    try {
      await this.#options.store.seen(sights);
    } catch (error) {
      this.#options.log.error("devices-not-written", { error });
    }
  }

  async #ask(newcomer: Newcomer): Promise<Standing> {
    const { store, plan, clock, log } = this.#options;
    const nowMs = clock.now();
    await store.removePending(nowMs - plan.pendingMs);
    const code = newCode();
    const device: Device = {
      id: randomId(12),
      name: "",
      fingerprint: newcomer.fingerprint,
      key: newcomer.key,
      state: "pending",
      code,
      tags: [],
      ports: plan.ports,
      web: "off",
      createdAtMs: nowMs,
      cameBy: "pending",
      lastSeenMs: nowMs,
      lastFrom: newcomer.from,
    };
    const note = { atMs: nowMs, device: device.id, event: "asked", by: newcomer.from } as const;
    const result = await store.insert(device, plan.maxPending, { note });
    if (result === "too-many") return { kind: "refused", reason: "too many devices wait for an operator" };
    // Two connections of the same new key at once: the other one was first.
    if (result !== "inserted") return await this.standing(newcomer, {});
    log.info("device-asks", {
      device: device.id,
      fingerprint: device.fingerprint,
      from: newcomer.from,
      code,
    });
    return { kind: "newcomer", admission: { by: "pending", code } };
  }

  async #wish(newcomer: Newcomer, code: string, name: string | undefined): Promise<Joined> {
    const { store } = this.#options;
    const known = await store.byFingerprint(newcomer.fingerprint);
    if (known === undefined || known.state !== "pending") {
      // Decided meanwhile.
      if (known?.state === "approved") return { kind: "device", device: known };
      return { kind: "refused", reason: "an operator has said no" };
    }
    // It asks again every few seconds: nothing is written for that.
    if (name !== undefined && known.name !== name)
      await store.change(known.id, (device) =>
        device.state === "pending" ? { ...device, name } : undefined,
      );
    return { kind: "waiting", code };
  }

  async #token(token: string): Promise<JoinToken | undefined> {
    const { store, clock } = this.#options;
    const hash = tokenHash(token);
    const nowMs = clock.now();
    return (await store.tokens()).find(
      (one) => one.hash === hash && one.usesLeft > 0 && one.expiresAtMs > nowMs,
    );
  }

  async #joinByToken(newcomer: Newcomer, token: string, name: string): Promise<Joined> {
    const { store, clock } = this.#options;
    const found = await this.#token(token);
    if (found === undefined) return tokenSpent;
    if (!matchPattern(name, found.names))
      return { kind: "refused", reason: `the join token is not for ${name}` };
    const holder = await store.byName(name);
    if (holder !== undefined) return { kind: "refused", reason: `${name} is another device's` };
    const use = { hash: found.hash, nowMs: clock.now() };
    return await this.#admit(newcomer, name, { ...found, cameBy: `token:${found.id}` }, use);
  }

  async #admit(
    newcomer: Newcomer,
    name: string,
    grant: Pick<Device, "tags" | "ports" | "web" | "cameBy">,
    use?: Along["token"],
  ): Promise<Joined> {
    const { store, clock, log } = this.#options;
    const nowMs = clock.now();
    const { tags, ports, web, cameBy } = grant;
    const approved = { name, state: "approved", tags, ports, web, cameBy, decidedAtMs: nowMs } as const;
    const known = await store.byFingerprint(newcomer.fingerprint);
    const id = known?.id ?? randomId(12);
    // All at once: a token is not used up for a device that is not there, whenever this process ends.
    const along: Along = {
      note: { atMs: nowMs, device: id, event: "joined", by: newcomer.from, detail: cameBy },
      ...(use === undefined ? {} : { token: use }),
    };
    let result: InsertResult | ChangeResult;
    if (known === undefined) {
      const device: Device = {
        ...approved,
        id,
        fingerprint: newcomer.fingerprint,
        key: newcomer.key,
        createdAtMs: nowMs,
        decidedBy: cameBy,
      };
      result = await store.insert(device, Number.POSITIVE_INFINITY, along);
    } else {
      result = await store.change(
        id,
        (device) =>
          device.state === "pending" ? { ...withoutCode(device), ...approved, decidedBy: cameBy } : undefined,
        along,
      );
    }
    if (result === "token-spent") return tokenSpent;
    if (result === "name-taken") return { kind: "refused", reason: `${name} is another device's` };
    const device = await store.byFingerprint(newcomer.fingerprint);
    if (device?.state !== "approved" || device.name !== name)
      return { kind: "refused", reason: "the key is another device's" };
    log.info("device-joined", {
      device: name,
      fingerprint: newcomer.fingerprint,
      from: newcomer.from,
      by: cameBy,
    });
    return { kind: "device", device };
  }
}

const tokenSpent: Joined = { kind: "refused", reason: "the join token is unknown, used up or expired" };

/** A certificate for one name says it. */
function onlyName(admission: Admission): string | undefined {
  return admission.by === "certificate" && admission.names.length === 1 ? admission.names[0] : undefined;
}

function standingOf(device: Device): Standing {
  if (device.state === "approved") return { kind: "device", device };
  return {
    kind: "refused",
    reason: device.state === "revoked" ? "the device was revoked" : "an operator has said no to this key",
  };
}
