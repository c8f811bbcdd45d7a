import { type Clock, randomId } from "#base";
import type { Device, DeviceGrant, DeviceLogEntry, DeviceStore, JoinToken, NewJoinToken } from "#contract";
import { newCode, tokenChars, tokenHash, withoutCode } from "./enrolment.ts";
import { tunnelErrors } from "./errors.ts";
import { isDeviceName } from "./name.ts";

const maxTags = 32;
const maxPorts = 64;

/** Who decides, for the log. */
export interface Decision {
  readonly by: string;
}

/** The authority as operators use it: `postern device`, and the HTTP API. Throws OPERATOR_DEVICE_ errors. */
export class Office {
  readonly #store: DeviceStore;
  readonly #clock: Clock;

  constructor(store: DeviceStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** The device by the name it goes by, its code (in any case, with or without the stroke), or its id. */
  async find(said: string): Promise<Device> {
    const found =
      (await this.#store.byCode(codeIn(said))) ??
      (await this.#store.byName(said.toLowerCase())) ??
      (await this.#store.byId(said)) ??
      (await this.#byOldName(said.toLowerCase()));
    if (found === undefined) throw new tunnelErrors.OPERATOR_DEVICE_UNKNOWN(said);
    return found;
  }

  /** Pages through all devices, or those behind one. */
  async *list(behind?: Pick<Device, "name" | "id">): AsyncGenerator<Device> {
    let after = behind;
    for (;;) {
      const page = await this.#store.list({ ...(after === undefined ? {} : { after }), limit: 500 });
      yield* page;
      after = page.at(-1);
      if (after === undefined) return;
    }
  }

  async approve(said: string, grant: DeviceGrant, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    const name = grant.name ?? device.name;
    if (device.state === "approved")
      throw new tunnelErrors.OPERATOR_DEVICE_STATE(`${device.name} is approved already`);
    if (device.state === "pending" && said !== device.id && codeIn(said) !== device.code)
      throw new tunnelErrors.OPERATOR_DEVICE_CODE(`${device.name} waits with the code ${device.code ?? ""}`);
    const checked = checkedName(name);
    const given = granted(grant);
    return await this.#change(device, "approved", decision, (now) => ({
      ...withoutCode(now),
      ...given,
      name: checked,
      state: "approved",
    }));
  }

  /** A pending device only: its key may not ask again. */
  async deny(said: string, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    if (device.state !== "pending")
      throw new tunnelErrors.OPERATOR_DEVICE_STATE(
        `${device.name} is ${device.state}, not pending; revoke it`,
      );
    return await this.#change(device, "denied", decision, (now) => ({
      ...withoutCode(now),
      state: "denied",
    }));
  }

  async rename(said: string, name: string, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    const checked = checkedName(name);
    return await this.#change(
      device,
      "renamed",
      decision,
      (now) => ({ ...now, name: checked }),
      `${device.name} to ${checked}`,
    );
  }

  async grant(said: string, grant: Omit<DeviceGrant, "name">, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    const given = granted(grant);
    return await this.#change(
      device,
      "changed",
      decision,
      (now) => ({ ...now, ...given }),
      JSON.stringify(given),
    );
  }

  /** Its tunnels are cut at once, and its key is refused from then on. The name is free. */
  async revoke(said: string, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    return await this.#change(device, "revoked", decision, (now) => ({
      ...withoutCode(now),
      state: "revoked",
    }));
  }

  /** Forgets it: its key is a stranger's again. */
  async remove(said: string, decision: Decision): Promise<Device> {
    const device = await this.find(said);
    await this.#store.remove(device.id, this.#note(device, "removed", decision));
    return device;
  }

  async log(said: string, limit: number): Promise<readonly DeviceLogEntry[]> {
    return await this.#store.logOf((await this.find(said)).id, limit);
  }

  /** The token's text is shown here and never again. */
  async makeToken(plan: NewJoinToken): Promise<{ readonly token: string; readonly record: JoinToken }> {
    const { tags, ports } = granted(plan);
    if (!Number.isSafeInteger(plan.uses) || plan.uses < 1) throw invalid("a token has at least one use");
    if (!(plan.lifeMs > 0)) throw invalid("a token lives for some time");
    const token = randomId(tokenChars);
    const nowMs = this.#clock.now();
    const record: JoinToken = {
      id: randomId(6),
      hash: tokenHash(token),
      usesLeft: plan.uses,
      expiresAtMs: nowMs + plan.lifeMs,
      tags: tags ?? [],
      ports: ports ?? [],
      web: plan.web,
      names: plan.names,
      createdAtMs: nowMs,
    };
    await this.#store.insertToken(record);
    return { token, record };
  }

  async tokens(): Promise<readonly JoinToken[]> {
    return await this.#store.tokens();
  }

  async removeToken(id: string): Promise<void> {
    if (!(await this.#store.removeToken(id))) throw new tunnelErrors.OPERATOR_DEVICE_UNKNOWN(`token ${id}`);
  }

  async #byOldName(name: string): Promise<Device | undefined> {
    if (name === "") return undefined;
    const found: Device[] = [];
    for await (const device of this.list()) if (device.name === name) found.push(device);
    if (found.length > 1)
      throw new tunnelErrors.OPERATOR_DEVICE_UNKNOWN(
        `${name} is the name of ${found.length} devices; say the code or id`,
      );
    return found[0];
  }

  async #change(
    device: Device,
    event: DeviceLogEntry["event"],
    decision: Decision,
    change: (device: Device) => Device,
    detail?: string,
  ): Promise<Device> {
    const decided = { decidedAtMs: this.#clock.now(), decidedBy: decision.by };
    const note = this.#note(device, event, decision, detail);
    const result = await this.#store.change(device.id, (now) => ({ ...change(now), ...decided }), { note });
    if (result === "name-taken") throw new tunnelErrors.OPERATOR_DEVICE_NAME_TAKEN();
    if (result === "absent") throw new tunnelErrors.OPERATOR_DEVICE_UNKNOWN(device.id);
    return (await this.#store.byId(device.id)) ?? device;
  }

  #note(device: Device, event: DeviceLogEntry["event"], { by }: Decision, detail?: string): DeviceLogEntry {
    const atMs = this.#clock.now();
    return { atMs, device: device.id, event, by, ...(detail === undefined ? {} : { detail }) };
  }
}

/** The code that is meant: in any case, with or without the stroke. */
function codeIn(said: string): string {
  const bare = said.toUpperCase().replace("-", "");
  return bare.length === newCode().length - 1 ? `${bare.slice(0, 4)}-${bare.slice(4)}` : "";
}

/** Throws OPERATOR_DEVICE_GRANT. */
function granted({ tags, ports, web }: DeviceGrant): Omit<DeviceGrant, "name"> {
  return {
    ...(tags === undefined ? {} : { tags: checkedTags(tags) }),
    ...(ports === undefined ? {} : { ports: checkedPorts(ports) }),
    ...(web === undefined ? {} : { web }),
  };
}

function checkedTags(tags: readonly string[]): readonly string[] {
  const odd = tags.find((tag) => !/^[\w.-]{1,64}$/.test(tag));
  if (odd !== undefined)
    throw invalid(`${JSON.stringify(odd)} is no tag: up to 64 letters, digits, dots, dashes or underscores`);
  const all = [...new Set(tags)];
  if (all.length > maxTags) throw invalid(`a device has at most ${maxTags} tags`);
  return all;
}

function checkedPorts(ports: readonly number[]): readonly number[] {
  const odd = ports.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (odd !== undefined) throw invalid(`${odd} is no port`);
  const all = [...new Set(ports)];
  if (all.length > maxPorts) throw invalid(`a device has at most ${maxPorts} ports`);
  return all;
}

function invalid(detail: string): Error {
  return new tunnelErrors.OPERATOR_DEVICE_GRANT(detail);
}

function checkedName(name: string): string {
  const lower = name.toLowerCase();
  if (!isDeviceName(lower))
    throw new tunnelErrors.OPERATOR_DEVICE_NAME(name === "" ? "none was said; give one" : name);
  return lower;
}
