import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Clock } from "#base";
import type { Along, Device, DeviceLogEntry, DeviceStore, JoinToken, Sight } from "#contract";
import { storeErrors } from "../errors.ts";

export interface SqliteOptions {
  /** Its directory exists. The file is made with mode 0600 by the caller's umask. */
  readonly path: string;
  readonly clock: Clock;
}

/** Milliseconds between looks whether another process has changed something. */
const watchMs = 500;

/** Milliseconds to wait for another process that writes. */
const busyMs = 5000;

/** Rows of the log kept for each device; older ones go when new ones come. */
const maxLogEntries = 1000;

/** What changed between versions of the tables; the number of the last is kept in the file (`user_version`). */
const versions: readonly string[] = [
  `CREATE TABLE device (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     fingerprint TEXT NOT NULL UNIQUE,
     state TEXT NOT NULL,
     code TEXT UNIQUE,
     created_at INTEGER NOT NULL,
     record TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX device_name ON device (name) WHERE state = 'approved';
   CREATE INDEX device_order ON device (name, id);
   CREATE INDEX device_state ON device (state, created_at);
   CREATE TABLE token (
     id TEXT PRIMARY KEY,
     hash TEXT NOT NULL UNIQUE,
     uses_left INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     record TEXT NOT NULL
   ) STRICT;
   CREATE TABLE log (
     serial INTEGER PRIMARY KEY AUTOINCREMENT,
     device TEXT NOT NULL,
     record TEXT NOT NULL
   ) STRICT;
   CREATE INDEX log_device ON log (device, serial);`,
];

/** One file, several processes: the gateway and `postern device` use it at once. Throws OPERATOR_STORE_ errors. */
export function openSqliteStore(options: SqliteOptions): DeviceStore {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(options.path, { timeout: busyMs });
    // Each commit is on the disk before it is told: the operator's decision must hold after a power cut.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
    migrate(database);
    return new SqliteStore(database, options.clock);
  } catch (cause) {
    database?.close();
    if (cause instanceof storeErrors.OPERATOR_STORE_NEWER) throw cause;
    const why = cause instanceof Error ? cause.message : "unknown";
    throw new storeErrors.OPERATOR_STORE_UNUSABLE(`${options.path}: ${why}`, { cause });
  }
}

function migrate(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const found = Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
    if (found > versions.length) throw new storeErrors.OPERATOR_STORE_NEWER(`version ${found}`);
    for (const version of versions.slice(found)) database.exec(version);
    if (found < versions.length) database.exec(`PRAGMA user_version = ${versions.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

class SqliteStore implements DeviceStore {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #watchers = new Set<() => void>();
  #watching: Disposable | undefined;
  #seenVersion = 0;
  /** Asked for twice a second for as long as the process lives. */
  #version: StatementSync | undefined;

  constructor(database: DatabaseSync, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  byId(id: string): Promise<Device | undefined> {
    return this.#later(() => this.#device("id = ?", id));
  }

  byFingerprint(fingerprint: string): Promise<Device | undefined> {
    return this.#later(() => this.#device("fingerprint = ?", fingerprint));
  }

  byName(name: string): Promise<Device | undefined> {
    return this.#later(() => this.#device("name = ? AND state = 'approved'", name));
  }

  byCode(code: string): Promise<Device | undefined> {
    return this.#later(() => this.#device("code = ? AND state = 'pending'", code));
  }

  list({ after, limit }: Parameters<DeviceStore["list"]>[0]): Promise<readonly Device[]> {
    const where = after === undefined ? "" : "WHERE (name, id) > (?, ?)";
    const from = after === undefined ? [] : [after.name, after.id];
    return this.#later(() =>
      this.#rows<Device>(`SELECT record FROM device ${where} ORDER BY name, id LIMIT ?`, ...from, limit),
    );
  }

  insert(device: Device, maxPending: number, along: Along = {}): ReturnType<DeviceStore["insert"]> {
    return this.#write(() => {
      if (this.#device("fingerprint = ?", device.fingerprint) !== undefined) return "key-known";
      if (this.#isTaken(device)) return "name-taken";
      if (device.state === "pending" && this.#count("state = 'pending'") >= maxPending) return "too-many";
      if (!this.#goesAlong(along)) return "token-spent";
      this.#put(device);
      return "inserted";
    });
  }

  change(
    id: string,
    change: (device: Device) => Device | undefined,
    along: Along = {},
  ): ReturnType<DeviceStore["change"]> {
    return this.#write(() => {
      const device = this.#device("id = ?", id);
      if (device === undefined) return "absent";
      const changed = change(device);
      if (changed === undefined) return "unchanged";
      if (this.#isTaken(changed)) return "name-taken";
      if (!this.#goesAlong(along)) return "token-spent";
      this.#put(changed);
      return "changed";
    });
  }

  remove(id: string, note?: DeviceLogEntry): Promise<boolean> {
    return this.#write(() => {
      const was = this.#run("DELETE FROM device WHERE id = ?", id) > 0;
      if (was && note !== undefined) this.#note(note);
      return was;
    });
  }

  removePending(beforeMs: number): Promise<number> {
    const old = "FROM device WHERE state = 'pending' AND created_at < ?";
    return this.#write(() => {
      // Strangers must not fill the log either.
      this.#run(`DELETE FROM log WHERE device IN (SELECT id ${old})`, beforeMs);
      return this.#run(`DELETE ${old}`, beforeMs);
    });
  }

  insertToken(token: JoinToken): Promise<void> {
    return this.#write(() => {
      this.#run(
        "INSERT INTO token (id, hash, uses_left, expires_at, created_at, record) VALUES (?, ?, ?, ?, ?, ?)",
        token.id,
        token.hash,
        token.usesLeft,
        token.expiresAtMs,
        token.createdAtMs,
        JSON.stringify(token),
      );
    });
  }

  tokens(): Promise<readonly JoinToken[]> {
    return this.#later(() => {
      const rows = this.#database
        .prepare("SELECT record, uses_left FROM token ORDER BY created_at, id")
        .all();
      return rows.map((row) => ({
        ...(JSON.parse(String(row["record"])) as JoinToken),
        usesLeft: Number(row["uses_left"]),
      }));
    });
  }

  removeToken(id: string): Promise<boolean> {
    return this.#write(() => this.#run("DELETE FROM token WHERE id = ?", id) > 0);
  }

  log(entry: DeviceLogEntry): Promise<void> {
    return this.#write(() => this.#note(entry), "quiet");
  }

  seen(sights: readonly Sight[]): Promise<void> {
    return this.#write(() => {
      for (const { device, atMs, from, online } of sights) {
        const known = this.#device("id = ?", device);
        if (known === undefined) continue;
        this.#put({ ...known, lastSeenMs: atMs, lastFrom: from });
        this.#note({ atMs, device, event: online ? "online" : "offline", by: from });
      }
    }, "quiet");
  }

  logOf(device: string, limit: number): Promise<readonly DeviceLogEntry[]> {
    return this.#later(() =>
      this.#rows<DeviceLogEntry>(
        "SELECT record FROM log WHERE device = ? ORDER BY serial DESC LIMIT ?",
        device,
        limit,
      ),
    );
  }

  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    if (this.#watching === undefined) {
      this.#seenVersion = this.#dataVersion();
      const timer = this.#clock.after(watchMs, () => {
        timer.refresh();
        const version = this.#dataVersion();
        if (version === this.#seenVersion) return;
        this.#seenVersion = version;
        this.#tell();
      });
      this.#watching = timer;
    }
    return { [Symbol.dispose]: () => void this.#watchers.delete(changed) };
  }

  async backup(path: string): Promise<void> {
    try {
      // SQLite itself would write over a short file that it takes for an empty one.
      closeSync(openSync(path, "wx", 0o600));
      await this.#later(() => this.#run("VACUUM INTO ?", path));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : "unknown";
      throw new storeErrors.OPERATOR_STORE_BACKUP(`${path}: ${why}`, { cause });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watching?.[Symbol.dispose]();
    this.#watchers.clear();
    if (this.#database.isOpen) this.#database.close();
    return Promise.resolve();
  }

  /** Changes by other connections than this one count it up. */
  #dataVersion(): number {
    this.#version ??= this.#database.prepare("PRAGMA data_version");
    return Number(this.#version.get()?.["data_version"] ?? 0);
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async #later<T>(read: () => T): Promise<T> {
    return await Promise.resolve(read());
  }

  /** `quiet`: nothing that those who watch would act upon. */
  async #write<T>(write: () => T, quiet?: "quiet"): Promise<T> {
    this.#database.exec("BEGIN IMMEDIATE");
    let result: T;
    try {
      result = write();
      this.#database.exec("COMMIT");
    } catch (error) {
      // A failed commit may have ended the transaction already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
    if (quiet === undefined) queueMicrotask(() => this.#tell());
    return await Promise.resolve(result);
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#database.prepare(sql).run(...values).changes);
  }

  #rows<T>(sql: string, ...values: SQLInputValue[]): T[] {
    const rows = this.#database.prepare(sql).all(...values);
    return rows.map((row) => JSON.parse(String(row["record"])) as T);
  }

  #device(where: string, value: string): Device | undefined {
    return this.#rows<Device>(`SELECT record FROM device WHERE ${where}`, value)[0];
  }

  #count(where: string): number {
    return Number(
      this.#database.prepare(`SELECT count(*) AS n FROM device WHERE ${where}`).get()?.["n"] ?? 0,
    );
  }

  /** Within a transaction. False: the token has no use left, and nothing was written. */
  #goesAlong({ note, token }: Along): boolean {
    if (token !== undefined) {
      const used = this.#run(
        "UPDATE token SET uses_left = uses_left - 1 WHERE hash = ? AND uses_left > 0 AND expires_at > ?",
        token.hash,
        token.nowMs,
      );
      if (used === 0) return false;
    }
    if (note !== undefined) this.#note(note);
    return true;
  }

  #note(entry: DeviceLogEntry): void {
    this.#run("INSERT INTO log (device, record) VALUES (?, ?)", entry.device, JSON.stringify(entry));
    this.#run(
      `DELETE FROM log WHERE device = ?1 AND serial <=
         (SELECT serial FROM log WHERE device = ?1 ORDER BY serial DESC LIMIT 1 OFFSET ?2)`,
      entry.device,
      maxLogEntries,
    );
  }

  #isTaken(device: Device): boolean {
    if (device.state !== "approved") return false;
    const holder = this.#device("name = ? AND state = 'approved'", device.name);
    return holder !== undefined && holder.id !== device.id;
  }

  #put(device: Device): void {
    this.#run(
      `INSERT INTO device (id, name, fingerprint, state, code, created_at, record) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, fingerprint = excluded.fingerprint, state = excluded.state,
         code = excluded.code, created_at = excluded.created_at, record = excluded.record`,
      device.id,
      device.name,
      device.fingerprint,
      device.state,
      device.code ?? null,
      device.createdAtMs,
      JSON.stringify(device),
    );
  }
}
