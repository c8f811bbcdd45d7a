import type { Along, ChangeResult, Device, DeviceLogEntry, DeviceStore, JoinToken, Sight } from "#contract";

/** Entries kept for each device. */
const maxLogEntries = 1000;

/** Everything in this process alone: for tests, and for trying things. */
export function openMemoryStore(): DeviceStore {
  return new MemoryStore();
}

class MemoryStore implements DeviceStore {
  readonly #devices = new Map<string, Device>();
  readonly #tokens = new Map<string, JoinToken>();
  readonly #log = new Map<string, DeviceLogEntry[]>();
  readonly #watchers = new Set<() => void>();

  byId(id: string): Promise<Device | undefined> {
    return Promise.resolve(this.#devices.get(id));
  }

  byFingerprint(fingerprint: string): Promise<Device | undefined> {
    return this.#find((device) => device.fingerprint === fingerprint);
  }

  byName(name: string): Promise<Device | undefined> {
    return this.#find((device) => device.state === "approved" && device.name === name);
  }

  byCode(code: string): Promise<Device | undefined> {
    return this.#find((device) => device.state === "pending" && device.code === code);
  }

  list(page: Parameters<DeviceStore["list"]>[0]): Promise<readonly Device[]> {
    const { after, limit } = page;
    const all = [...this.#devices.values()].sort(byNameAndId);
    const from = after === undefined ? all : all.filter((device) => byNameAndId(device, after) > 0);
    return Promise.resolve(from.slice(0, limit));
  }

  insert(device: Device, maxPending: number, along: Along = {}): ReturnType<DeviceStore["insert"]> {
    const all = [...this.#devices.values()];
    if (all.some((other) => other.fingerprint === device.fingerprint)) return Promise.resolve("key-known");
    if (this.#isTaken(device)) return Promise.resolve("name-taken");
    if (device.state === "pending" && all.filter((other) => other.state === "pending").length >= maxPending)
      return Promise.resolve("too-many");
    if (!this.#goesAlong(along)) return Promise.resolve("token-spent");
    this.#devices.set(device.id, device);
    this.#changed();
    return Promise.resolve("inserted");
  }

  async change(
    id: string,
    change: (device: Device) => Device | undefined,
    along: Along = {},
  ): ReturnType<DeviceStore["change"]> {
    return await Promise.resolve(this.#change(id, change, along));
  }

  #change(id: string, change: (device: Device) => Device | undefined, along: Along): ChangeResult {
    const device = this.#devices.get(id);
    if (device === undefined) return "absent";
    const changed = change(device);
    if (changed === undefined) return "unchanged";
    if (this.#isTaken(changed)) return "name-taken";
    if (!this.#goesAlong(along)) return "token-spent";
    this.#devices.set(id, changed);
    this.#changed();
    return "changed";
  }

  remove(id: string, note?: DeviceLogEntry): Promise<boolean> {
    const was = this.#devices.delete(id);
    if (was) this.#changed();
    if (was && note !== undefined) this.#note(note);
    return Promise.resolve(was);
  }

  removePending(beforeMs: number): Promise<number> {
    const old = [...this.#devices.values()].filter(
      (device) => device.state === "pending" && device.createdAtMs < beforeMs,
    );
    for (const { id } of old) {
      this.#devices.delete(id);
      this.#log.delete(id);
    }
    if (old.length > 0) this.#changed();
    return Promise.resolve(old.length);
  }

  insertToken(token: JoinToken): Promise<void> {
    this.#tokens.set(token.id, token);
    this.#changed();
    return Promise.resolve();
  }

  tokens(): Promise<readonly JoinToken[]> {
    return Promise.resolve([...this.#tokens.values()].sort((a, b) => a.createdAtMs - b.createdAtMs));
  }

  removeToken(id: string): Promise<boolean> {
    const was = this.#tokens.delete(id);
    if (was) this.#changed();
    return Promise.resolve(was);
  }

  log(entry: DeviceLogEntry): Promise<void> {
    this.#note(entry);
    return Promise.resolve();
  }

  async seen(sights: readonly Sight[]): Promise<void> {
    for (const { device, atMs, from, online } of sights) {
      const known = this.#devices.get(device);
      if (known === undefined) continue;
      this.#devices.set(device, { ...known, lastSeenMs: atMs, lastFrom: from });
      await this.log({ atMs, device, event: online ? "online" : "offline", by: from });
    }
  }

  logOf(device: string, limit: number): Promise<readonly DeviceLogEntry[]> {
    return Promise.resolve((this.#log.get(device) ?? []).slice(0, limit));
  }

  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return { [Symbol.dispose]: () => void this.#watchers.delete(changed) };
  }

  backup(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watchers.clear();
    return Promise.resolve();
  }

  #find(is: (device: Device) => boolean): Promise<Device | undefined> {
    return Promise.resolve([...this.#devices.values()].find(is));
  }

  #note(entry: DeviceLogEntry): void {
    const entries = this.#log.get(entry.device) ?? [];
    entries.unshift(entry);
    entries.length = Math.min(entries.length, maxLogEntries);
    this.#log.set(entry.device, entries);
  }

  /** False: the token has no use left, and nothing was changed. */
  #goesAlong({ note, token }: Along): boolean {
    if (token !== undefined) {
      const found = [...this.#tokens.values()].find(({ hash }) => hash === token.hash);
      if (found === undefined || found.usesLeft < 1 || found.expiresAtMs <= token.nowMs) return false;
      this.#tokens.set(found.id, { ...found, usesLeft: found.usesLeft - 1 });
    }
    if (note !== undefined) this.#note(note);
    return true;
  }

  #isTaken(device: Device): boolean {
    if (device.state !== "approved") return false;
    return [...this.#devices.values()].some(
      (other) => other.id !== device.id && other.state === "approved" && other.name === device.name,
    );
  }

  #changed(): void {
    for (const watcher of this.#watchers) queueMicrotask(watcher);
  }
}

function byNameAndId(a: Pick<Device, "name" | "id">, b: Pick<Device, "name" | "id">): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
