import { hash } from "node:crypto";
import { formatHostPort, type HostPort, type Log, PosternError, Recent } from "#base";
import type { FileAppender, FileReader, HostKeyPolicy } from "#contract";
import {
  algorithmFits,
  type Certificate,
  certificateName,
  checkCertificate,
  decodeAnyKey,
  fingerprint,
  formatKnownHostsLine,
  type HostKeyVerdict,
  KnownHosts,
  parseKnownHosts,
  parsePublicKeyLine,
  type PublicKey,
} from "#ssh/keys";
import { gatewayErrors } from "./errors.ts";

export interface HostKeyPorts {
  readonly files: FileReader & FileAppender;
  readonly log: Log;
  nowMs(): number;
}

/** Files of organisations hold tens of thousands of lines; beyond this it is no known_hosts file. */
const maxKnownHostsBytes = 16 * 1024 * 1024;

/** Parsing thousands of keys takes longer than a login: a file that has not changed is not parsed again. */
const parsedFiles = new Recent<string, KnownHosts>(16);

/** Keys given in the configuration: parsed when the rule is made, so that a broken one stops the start. */
export class PinnedKeys {
  readonly keys: readonly PublicKey[];
  readonly authorities: readonly PublicKey[];

  /** Throws OPERATOR_KEY_INVALID or OPERATOR_KEY_UNSUPPORTED. */
  constructor(policy: HostKeyPolicy) {
    this.keys = (policy.keys ?? []).map(plainKey);
    this.authorities = (policy.authorities ?? []).map(plainKey);
  }
}

function plainKey(line: string): PublicKey {
  const { key } = parsePublicKeyLine(line);
  return "key" in key ? key.key : key;
}

/** The check of one host's key under one policy: made before the connection, since what is known decides what is asked for. */
export class HostKeyCheck {
  readonly #policy: HostKeyPolicy;
  readonly #pinned: PinnedKeys;
  readonly #known: KnownHosts;
  readonly #address: HostPort;
  readonly #ports: HostKeyPorts;

  private constructor(policy: HostKeyPolicy, known: KnownHosts, address: HostPort, ports: HostKeyPorts) {
    this.#policy = policy;
    this.#pinned = new PinnedKeys(policy);
    this.#known = known;
    this.#address = address;
    this.#ports = ports;
  }

  /** Reads the policy's files. Throws OPERATOR_FILE_UNREADABLE. */
  static async open(policy: HostKeyPolicy, address: HostPort, ports: HostKeyPorts): Promise<HostKeyCheck> {
    let known = new KnownHosts([], []);
    const paths = [
      ...(policy.knownHosts ?? []),
      ...(policy.acceptNew === undefined ? [] : [policy.acceptNew]),
    ];
    for (const path of paths) {
      const read = await ports.files.read(path, maxKnownHostsBytes);
      if (read === undefined) {
        if (path !== policy.acceptNew) ports.log.error("known-hosts-missing", { file: path });
        continue;
      }
      const parsed = parsedFiles.of(`${hash("sha256", read.bytes)} ${path}`, () =>
        parseKnownHosts(Buffer.from(read.bytes).toString("utf8"), path),
      );
      for (const warning of parsed.warnings) ports.log.warn("known-hosts-line-ignored", { ...warning });
      known = known.concat(parsed);
    }
    return new HostKeyCheck(policy, known, address, ports);
  }

  /**
   * The offered algorithms, those whose key we could recognise first: a host with several keys then shows the one that is on
   * record, not the one that we happen to prefer.
   */
  order(offered: readonly string[]): string[] {
    const certified = this.#authorities().length > 0 ? offered.map(certificateName) : [];
    const types = new Set([...this.#expected(), ...this.#plainNameKeys()].map((key) => key.type));
    const known = offered.filter((algorithm) => [...types].some((type) => algorithmFits(type, algorithm)));
    return [...new Set([...certified, ...known, ...offered])];
  }

  /** Whether another of the host's keys might do, when one did not: a fingerprint does not say of what type its key is. */
  get mayTryOtherTypes(): boolean {
    return this.#policy.fingerprints !== undefined;
  }

  /**
   * Judges the key that the host proved to hold. Throws UPSTREAM_HOST_KEY_MISMATCH, UPSTREAM_HOST_KEY_UNKNOWN or
   * UPSTREAM_HOST_KEY_REVOKED, with both fingerprints in the detail.
   */
  async check(blob: Uint8Array): Promise<void> {
    const key = decodeAnyKey(blob);
    const plain = "key" in key ? key.key : key;
    const verdict = this.#verdict(key);
    if (verdict.kind === "revoked") {
      throw new gatewayErrors.UPSTREAM_HOST_KEY_REVOKED(
        `${this.#place}: ${shown(plain)}, revoked in ${verdict.entry.fileName}:${verdict.entry.line}`,
      );
    }
    if (verdict.kind === "known" || this.#isPinned(key, plain)) return;
    if (this.#policy.dangerouslyAcceptAny === true) {
      this.#ports.log.warn("host-key-unchecked", { upstream: this.#place, got: shown(plain) });
      return;
    }
    const expected = this.#expected()
      .map(shown)
      .concat(this.#policy.fingerprints ?? []);
    const refusal = verdict.kind === "certificate-refused" ? ` (its certificate: ${verdict.reason})` : "";
    if (expected.length === 0 && verdict.kind === "unknown" && this.#authorities().length === 0) {
      if (this.#policy.acceptNew !== undefined) {
        await this.#acceptNew(this.#policy.acceptNew, plain);
        return;
      }
      throw new gatewayErrors.UPSTREAM_HOST_KEY_UNKNOWN(
        `${this.#place}: got ${shown(plain)}, none on record`,
      );
    }
    throw new gatewayErrors.UPSTREAM_HOST_KEY_MISMATCH(
      `${this.#place}: got ${shown(plain)}${refusal}, on record ${expected.join(", ") || "an authority only"}`,
    );
  }

  get #place(): string {
    return formatHostPort(this.#address);
  }

  #verdict(key: PublicKey | Certificate): HostKeyVerdict {
    return this.#known.check(this.#address.host, this.#address.port, key, this.#nowSeconds);
  }

  get #nowSeconds(): number {
    return Math.floor(this.#ports.nowMs() / 1000);
  }

  #isPinned(key: PublicKey | Certificate, plain: PublicKey): boolean {
    if (this.#pinned.keys.some((known) => Buffer.compare(known.blob, plain.blob) === 0)) return true;
    if (
      this.#policy.fingerprints?.some((text) => text.replace(/=$/, "") === fingerprint(plain.blob)) === true
    ) {
      return true;
    }
    if (!("key" in key) || this.#pinned.authorities.length === 0) return false;
    const refusal = checkCertificate(key, {
      kind: "host",
      principal: this.#address.host,
      nowSeconds: this.#nowSeconds,
      authorities: this.#pinned.authorities.map((authority) => authority.blob),
    });
    if (refusal !== undefined)
      this.#ports.log.info("host-certificate-refused", { upstream: this.#place, reason: refusal });
    return refusal === undefined;
  }

  /** Keys that this host may show. */
  #expected(): readonly PublicKey[] {
    return [...this.#pinned.keys, ...this.#found().keys.map(({ key }) => key)];
  }

  #authorities(): readonly PublicKey[] {
    return [...this.#pinned.authorities, ...this.#found().authorities.map(({ key }) => key)];
  }

  /** As the check itself does: by `[host]:port`, and if that says nothing, by the plain name. */
  #found(): ReturnType<KnownHosts["lookup"]> {
    const { host, port } = this.#address;
    const exact = this.#known.lookup(host, port);
    const silent = exact.keys.length === 0 && exact.authorities.length === 0;
    if (!silent || port === 22) return exact;
    const plain = this.#known.lookup(host);
    // A key under the plain name vouches when it is right, but does not contradict when it is not (see KnownHosts.check).
    return { ...plain, keys: [] };
  }

  #plainNameKeys(): readonly PublicKey[] {
    return this.#known.lookup(this.#address.host).keys.map(({ key }) => key);
  }

  async #acceptNew(path: string, key: PublicKey): Promise<void> {
    const { host, port } = this.#address;
    let added = false;
    await this.#ports.files.append(path, (text) => {
      // Another session may have been first: then its key is the one on record.
      const verdict = parseKnownHosts(text, path).check(host, port, key, this.#nowSeconds);
      if (verdict.kind === "known") return undefined;
      if (verdict.kind !== "unknown") {
        const others = verdict.kind === "changed" ? verdict.entries : [verdict.entry];
        throw new gatewayErrors.UPSTREAM_HOST_KEY_MISMATCH(
          `${this.#place}: got ${shown(key)}, on record ${others.map((entry) => shown(entry.key)).join(", ")}`,
        );
      }
      added = true;
      return formatKnownHostsLine({ host, port, key });
    });
    if (added)
      this.#ports.log.info("host-key-accepted", { upstream: this.#place, got: shown(key), file: path });
  }
}

function shown(key: PublicKey): string {
  return `${key.type} ${fingerprint(key.blob)}`;
}

/** Whether an error says that the host showed a key that is not on record. */
export function isHostKeyMismatch(error: unknown): boolean {
  return error instanceof PosternError && error.code === "UPSTREAM_HOST_KEY_MISMATCH";
}
