import { mkdir, open, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { formatHostPort, type HostPort } from "#base";
import {
  algorithmFits,
  type Certificate,
  certificateName,
  decodeAnyKey,
  fingerprint,
  formatKnownHostsLine,
  KnownHosts,
  parseKnownHosts,
  type PublicKey,
} from "#ssh/keys";
import { clientErrors } from "./errors.ts";
import { fileReasonOf } from "./dial.ts";

/** What is asked about a host that nobody has seen yet. */
export interface HostKeyQuestion {
  /** As the person would say it: `host` or `[host]:port`. */
  readonly host: string;
  /** `ssh-ed25519` and so on. */
  readonly type: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

export interface HostKeyOptions {
  /** known_hosts files; a new key is written to the first. Default: those of ssh(1). Those that do not exist are passed over. */
  readonly knownHosts?: readonly string[];
  /** The name to look up instead of host and port (HostKeyAlias). */
  readonly alias?: string;
  /** What to do about a host that is not known. Default `refuse`; `accept` writes its key down. A changed key is always refused. */
  readonly unknown?: "refuse" | "accept" | ((question: HostKeyQuestion) => Promise<boolean>);
  /** Hide names that are written down behind a hash. */
  readonly hashNames?: boolean;
  /** `SHA256:…` of keys that are right whatever the files say. */
  readonly fingerprints?: readonly string[];
  /** Any host is believed: whoever stands in between can read and change everything. */
  readonly dangerouslyAcceptAny?: boolean;
}

/** Files of ssh(1), the user's first. */
export function defaultKnownHosts(home: string = homedir()): string[] {
  const own = ["known_hosts", "known_hosts2"].map((name) => join(home, ".ssh", name));
  return [...own, "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
}

/** The check of one host's key: made before the connection, since what is known decides what is asked for. */
export class HostKeyCheck {
  readonly #options: HostKeyOptions;
  readonly #host: string;
  readonly #port: number;
  readonly #known: KnownHosts;
  readonly #notice: (text: string) => void;

  private constructor(
    address: HostPort,
    options: HostKeyOptions,
    known: KnownHosts,
    notice: (t: string) => void,
  ) {
    this.#options = options;
    // An alias stands for itself, whatever the port.
    this.#host = options.alias ?? address.host;
    this.#port = options.alias === undefined ? address.port : 22;
    this.#known = known;
    this.#notice = notice;
  }

  /** Reads the files. Throws UPSTREAM_CLIENT_HOST_KEY for one that is there and cannot be read. */
  static async open(
    address: HostPort,
    options: HostKeyOptions,
    notice: (text: string) => void,
  ): Promise<HostKeyCheck> {
    let known = new KnownHosts([], []);
    for (const path of options.knownHosts ?? defaultKnownHosts()) {
      const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return "";
        throw new clientErrors.UPSTREAM_CLIENT_HOST_KEY(`${path} cannot be read: ${fileReasonOf(cause)}.`, {
          cause,
        });
      });
      known = known.concat(parseKnownHosts(text, path));
    }
    return new HostKeyCheck(address, options, known, notice);
  }

  /** The offered algorithms, those whose key we could recognise first. */
  order(offered: readonly string[]): string[] {
    const exact = this.#known.lookup(this.#host, this.#port);
    const plain = this.#known.lookup(this.#host);
    const authorities = exact.authorities.length + plain.authorities.length > 0;
    const types = new Set([...exact.keys, ...plain.keys].map(({ key }) => key.type));
    const known = offered.filter((name) => [...types].some((type) => algorithmFits(type, name)));
    return [...new Set([...(authorities ? offered.map(certificateName) : []), ...known, ...offered])];
  }

  /** Judges the key that the host proved to hold. Throws UPSTREAM_CLIENT_HOST_KEY. */
  async check(blob: Uint8Array): Promise<void> {
    const key = decodeAnyKey(blob);
    const plain = "key" in key ? key.key : key;
    const shown = `${plain.type} ${fingerprint(plain.blob)}`;
    const verdict = this.#verdict(key);
    const where = this.#name;
    if (verdict.kind === "revoked") {
      throw refusal(
        `The host key of ${where} is revoked (${verdict.entry.fileName}:${verdict.entry.line}): ${shown}. Do not connect; ask whoever runs the host.`,
      );
    }
    if (verdict.kind === "known") return;
    const { fingerprints = [], dangerouslyAcceptAny = false, unknown = "refuse" } = this.#options;
    if (fingerprints.some((text) => text.replace(/=$/, "") === fingerprint(plain.blob))) return;
    if (dangerouslyAcceptAny) {
      this.#notice(`The host key of ${where} was not checked: ${shown}.`);
      return;
    }
    if (verdict.kind === "changed") {
      const lines = verdict.entries.map((entry) => `${entry.fileName}:${entry.line}`);
      throw refusal(
        `The host key of ${where} has changed: it shows ${shown}, and another is known from ${lines.join(", ")}. Somebody may stand in between. If the host has a new key, remove these lines: ssh-keygen -R '${where}'`,
      );
    }
    if (verdict.kind === "certificate-refused") {
      throw refusal(`The host certificate of ${where} is not good: ${verdict.reason}.`);
    }
    const question = { host: where, type: plain.type, fingerprint: fingerprint(plain.blob) };
    if (unknown === "refuse" || (unknown !== "accept" && !(await unknown(question)))) {
      throw refusal(
        `The host key of ${where} is not known: ${shown}. If that is right, connect once on a terminal and say so, or use --accept-new.`,
      );
    }
    await this.#remember(plain);
    if (unknown === "accept") this.#notice(`The host key of ${where} is new and was kept: ${shown}.`);
  }

  get #name(): string {
    return this.#port === 22 ? this.#host : `[${this.#host}]:${this.#port}`;
  }

  #verdict(key: PublicKey | Certificate): ReturnType<KnownHosts["check"]> {
    return this.#known.check(this.#host, this.#port, key, Math.floor(Date.now() / 1000));
  }

  /** A host whose key cannot be written down is still the host that somebody just said yes to. */
  async #remember(key: PublicKey): Promise<void> {
    const [path] = this.#options.knownHosts ?? defaultKnownHosts();
    if (path === undefined || path === "/dev/null" || path === "none") return;
    const line = formatKnownHostsLine({
      host: this.#host,
      port: this.#port,
      key,
      hashed: this.#options.hashNames ?? false,
    });
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await using file = await open(path, "a+", 0o600);
      const { size } = await file.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      await file.write(`${size > 0 && last.toString() !== "\n" ? "\n" : ""}${line}\n`);
    } catch (error) {
      this.#notice(`The host key of ${this.#name} could not be written to ${path}: ${fileReasonOf(error)}.`);
    }
  }
}

function refusal(sentence: string): Error {
  return new clientErrors.UPSTREAM_CLIENT_HOST_KEY(sentence);
}

/** `host port N` in sentences. */
export function placeOf({ host, port }: HostPort): string {
  return port === 22 ? host : formatHostPort({ host, port });
}
