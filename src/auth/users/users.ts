import { createHmac, hash } from "node:crypto";
import { type Log, PosternError, Recent } from "#base";
import type { AuthContext, FileReader, User, UserDirectory } from "#contract";
import { usersErrors } from "./errors.ts";
import { parseHtpasswd } from "./htpasswd.ts";
import type { UsersConfig, UsersReference } from "./schema.ts";
import { maxUsersFileBytes, parseUsersFile, type UsersFile } from "./users-file.ts";

export interface UsersPorts {
  readonly files: FileReader;
  readonly log: Log;
  /** Keeps secret who stands in for whom; the same in all processes and over restarts, or a change would show. */
  readonly secret: Uint8Array;
}

type People = ReadonlyMap<string, User>;

const nobody: People = new Map();

/** The users of the configuration, of the file of users and of htpasswd. Files are read at each question, as they are then. */
export class Users implements UserDirectory {
  readonly #config: UsersConfig;
  readonly #ports: UsersPorts;
  readonly #listed: People;
  readonly #read = new Recent<string, UsersFile>(2);
  /** What was last said about the files: it is said once. */
  #said = "";

  constructor(config: UsersConfig, ports: UsersPorts) {
    this.#config = config;
    this.#ports = ports;
    this.#listed = new Map(Object.entries(config.people).map(([name, user]) => [name, { ...user, name }]));
  }

  /**
   * What is wrong with single users. Throws OPERATOR_USERS_FILE_INVALID and the errors of reading, so that a gateway does not start
   * with a file that is wrong as a whole.
   */
  async check(): Promise<readonly string[]> {
    return (await this.#sources()).warnings;
  }

  async all(): Promise<readonly User[]> {
    const { sources } = await this.#sources();
    return namesIn(sources).flatMap((name) => merged(name, sources) ?? []);
  }

  async find(name: string): Promise<{ readonly user: User | undefined; readonly standIn: User | undefined }> {
    const sources = await this.#usable();
    const withPassword = namesIn(sources).filter(
      (each) => (merged(each, sources)?.passwords.length ?? 0) > 0,
    );
    const digest = createHmac("sha256", this.#ports.secret).update(`stand-in\0${name}`).digest();
    const standIn = withPassword[digest.readUInt32BE(0) % Math.max(1, withPassword.length)];
    return {
      user: merged(name, sources),
      standIn: standIn === undefined ? undefined : merged(standIn, sources),
    };
  }

  /** At a login, a file that is wrong lets nobody in; what else is right holds. */
  async #usable(): Promise<readonly People[]> {
    const { sources, warnings, failures } = await this.#sources(true);
    const said = [...failures.map(String), ...warnings].join("\n");
    if (said !== this.#said) {
      for (const error of failures) this.#ports.log.error("users-ignored", { error });
      for (const reason of warnings) this.#ports.log.warn("user-ignored", { reason });
    }
    this.#said = said;
    return sources;
  }

  async #sources(
    lenient = false,
  ): Promise<{ sources: People[]; warnings: string[]; failures: PosternError[] }> {
    const warnings: string[] = [];
    const failures: PosternError[] = [];
    const sources = [this.#listed];
    const warn = (warning: string): void => void warnings.push(warning);
    for (const read of [() => this.#file(warn), () => this.#htpasswd(warn)]) {
      try {
        sources.push(await read());
      } catch (error) {
        if (!lenient || !(error instanceof PosternError)) throw error;
        failures.push(error);
      }
    }
    return { sources, warnings, failures };
  }

  async #file(warn: (warning: string) => void): Promise<People> {
    const text = await this.#text(this.#config.file);
    if (text === undefined) return nobody;
    const { path, bytes, key } = text;
    const kept = this.#read.peek(key);
    if (kept !== undefined) return kept.people;
    let clean = true;
    const parsed = await parseUsersFile(bytes.toString("utf8"), path, this.#ports.files, (problem) => {
      clean = false;
      warn(problem);
    });
    // What was taken from other files is read again each time, and what is wrong is told again to whoever asks.
    if (clean && !parsed.refers) this.#read.of(key, () => parsed);
    return parsed.people;
  }

  async #htpasswd(warn: (warning: string) => void): Promise<People> {
    const text = await this.#text(this.#config.htpasswd);
    if (text === undefined) return nobody;
    const { path, bytes } = text;
    const found = parseHtpasswd(bytes.toString("utf8"), ({ line, name, reason }) =>
      warn(`${path}:${line}: ${name}: ${reason}`),
    );
    return new Map([...found].map(([name, passwords]) => [name, { name, passwords, keys: [], groups: [] }]));
  }

  async #text(
    path: string | undefined,
  ): Promise<{ readonly path: string; readonly bytes: Buffer; readonly key: string } | undefined> {
    if (path === undefined) return undefined;
    const read = await this.#ports.files.read(path, maxUsersFileBytes);
    if (read === undefined) return undefined;
    if ((read.mode & 0o002) !== 0)
      throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`everybody may write to ${path}: chmod o-w`);
    const bytes = Buffer.from(read.bytes);
    return { path, bytes, key: hash("sha256", bytes) };
  }
}

function namesIn(sources: readonly People[]): string[] {
  return [...new Set(sources.flatMap((source) => [...source.keys()]))].sort();
}

/** Who stands in several places has all that stands there. */
function merged(name: string, sources: readonly People[]): User | undefined {
  const found = sources.flatMap((source) => source.get(name) ?? []);
  if (found.length === 0) return undefined;
  const totp = found.find((user) => user.totp !== undefined)?.totp;
  return {
    name,
    passwords: found.flatMap(({ passwords }) => passwords),
    keys: found.flatMap(({ keys }) => keys),
    groups: found.flatMap(({ groups }) => groups),
    ...(totp === undefined ? {} : { totp }),
  };
}

/** Whom a login method takes the client for. */
export interface Referred {
  readonly name: string;
  readonly user: User | undefined;
  readonly standIn: User | undefined;
  /** Why there is no user. */
  readonly reason: string;
}

export async function referredUser(
  { name: template, groups }: UsersReference,
  users: UserDirectory,
  { captures, user: clientName }: AuthContext,
): Promise<Referred> {
  const name = template.expand(captures);
  // The same work for all, whatever comes of it.
  const { user, standIn } = await users.find(name ?? clientName);
  if (name === undefined)
    return {
      name: clientName,
      user: undefined,
      standIn,
      reason: `{${template.names.join(", ")}} has no value`,
    };
  if (user === undefined) return { name, user, standIn, reason: `"${name}" is not among the users` };
  if (groups === undefined || groups.some((group) => user.groups.includes(group)))
    return { name, user, standIn, reason: "" };
  return {
    name,
    user: undefined,
    standIn,
    reason: `"${name}" is in none of the groups ${groups.join(", ")}`,
  };
}
