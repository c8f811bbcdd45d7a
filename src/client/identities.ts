import { readFile, stat } from "node:fs/promises";
import { PosternError } from "#base";
import { Slow } from "#ssh/algorithms";
import {
  type Certificate,
  decodeAnyKey,
  keyAlgorithms,
  parsePrivateKey,
  parsePublicKeyLine,
  plainName,
  type PrivateKey,
} from "#ssh/keys";
import type { SessionBinding } from "#ssh/agent";
import { Agent } from "./agent.ts";
import { clientErrors } from "./errors.ts";
import { fileReasonOf } from "./dial.ts";

/** A key to log in with, wherever its private half is. */
export interface Identity {
  /** For people: a file, or the agent's comment. */
  readonly label: string;
  /** Key or certificate, as shown to the server. */
  readonly blob: Uint8Array;
  /** What it can sign with, best first. */
  readonly algorithms: readonly string[];
  /** The whole signature blob. Throws OPERATOR_CLIENT_KEY when it cannot. */
  sign(algorithm: string, data: Uint8Array): Promise<Uint8Array>;
}

export interface IdentityOptions {
  /** Private key files (or public ones, whose private half is in the agent). Those in `optional` may be missing. */
  readonly keyFiles?: readonly string[];
  readonly optionalKeyFiles?: readonly string[];
  /** Besides KEY-cert.pub beside each key. */
  readonly certificateFiles?: readonly string[];
  /** Path of an agent's socket. */
  readonly agent?: string | undefined;
  /** Only keys that a file names, even of the agent. */
  readonly identitiesOnly?: boolean;
  /** The passphrase of a file; undefined gives up on it. Asked once for each file, when a server wants the key. */
  readonly passphrase?: ((file: string, wrong: boolean) => Promise<string | undefined>) | undefined;
  /** Told what was passed over and why. */
  readonly notice?: ((text: string) => void) | undefined;
}

/** Tries at one passphrase, as ssh(1) gives. */
const maxPassphraseTries = 3;

/** More than any key file holds. */
const maxKeyFileBytes = 1024 * 1024;

/** A file on which a private key, or only its public half, was found. */
interface FileKey {
  readonly file: string;
  /** Undefined for a file whose public half is not known before its passphrase is. */
  readonly blob: Uint8Array | undefined;
  readonly certificates: readonly Certificate[];
  /** Undefined where there is a public half alone. */
  readonly open: (() => Promise<PrivateKey>) | undefined;
}

/**
 * The keys to try, in the order of ssh(1): those of the agent that a file names, other ones of the agent, then those of files; a
 * certificate before its key. Loaded once: passphrases are not asked again when a connection is made anew.
 */
export class Identities {
  readonly #options: IdentityOptions;
  readonly #notice: (text: string) => void;
  #files: Promise<readonly FileKey[]> | undefined;

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.#notice = options.notice ?? ((): void => {});
  }

  /** For one SSH connection, of which the agent is told. */
  async *of(binding: SessionBinding | undefined): AsyncGenerator<Identity> {
    this.#files ??= this.#readFiles();
    const files = await this.#files;
    const held = await this.#agentIdentities(files, binding);
    const shown = new Set<string>();
    const fresh = (identity: Identity): boolean => {
      const id = Buffer.from(identity.blob).toString("base64");
      return !shown.has(id) && shown.add(id) !== undefined;
    };
    for (const identity of held) if (fresh(identity)) yield identity;
    for (const each of files) {
      if (each.open === undefined) continue;
      for (const identity of await this.#ofFile(each, each.open)) if (fresh(identity)) yield identity;
    }
  }

  async #ofFile(each: FileKey, open: () => Promise<PrivateKey>): Promise<Identity[]> {
    try {
      const blob = each.blob ?? (await open()).blob;
      return identitiesOf(each.file, blob, each.certificates, async (algorithm, data) => {
        const key = await open();
        const signature = key.sign(plainName(algorithm), data);
        return signature instanceof Slow ? await signature.run() : signature;
      });
    } catch (error) {
      if (!(error instanceof clientErrors.OPERATOR_CLIENT_KEY)) throw error;
      this.#notice(error.detail ?? error.message);
      return [];
    }
  }

  async #agentIdentities(
    files: readonly FileKey[],
    binding: SessionBinding | undefined,
  ): Promise<Identity[]> {
    const { agent: path, identitiesOnly = false } = this.#options;
    if (path === undefined) return [];
    const agent = new Agent(path, binding);
    let held: Awaited<ReturnType<Agent["identities"]>>;
    try {
      held = await agent.identities();
    } catch (error) {
      this.#notice(error instanceof PosternError ? (error.detail ?? error.message) : String(error));
      return [];
    }
    const named: Identity[] = [];
    const others: Identity[] = [];
    for (const { blob, comment } of held) {
      const file = files.find((each) => each.blob !== undefined && sameOrCertified(blob, each.blob));
      const label = comment === "" ? "a key of the agent" : comment;
      const made = identitiesOf(label, blob, file?.certificates ?? [], (algorithm, data) =>
        agent.sign(blob, algorithm, data),
      );
      if (file !== undefined) named.push(...made);
      else if (!identitiesOnly) others.push(...made);
    }
    return [...named, ...others];
  }

  async #readFiles(): Promise<FileKey[]> {
    const { keyFiles = [], optionalKeyFiles = [], certificateFiles = [] } = this.#options;
    const certificates: Certificate[] = [];
    for (const file of certificateFiles) {
      const certificate = await this.#certificate(file, true);
      if (certificate !== undefined) certificates.push(certificate);
    }
    const found: FileKey[] = [];
    for (const file of new Set([...keyFiles, ...optionalKeyFiles])) {
      const key = await this.#readFile(file, keyFiles.includes(file), certificates);
      if (key !== undefined) found.push(key);
    }
    return found;
  }

  async #readFile(
    file: string,
    required: boolean,
    certificates: readonly Certificate[],
  ): Promise<FileKey | undefined> {
    const bytes = await readSmall(file).catch((cause: NodeJS.ErrnoException) => {
      if (required || cause.code !== "ENOENT")
        this.#notice(`${file} cannot be read: ${fileReasonOf(cause)}.`);
      return undefined;
    });
    if (bytes === undefined) return await this.#publicOnly(`${file}.pub`, file, certificates);
    const text = bytes.toString("latin1");
    if (!text.includes("-----BEGIN ")) return await this.#publicOnly(file, file, certificates);
    if (!(await this.#isPrivate(file))) return undefined;
    const own = await this.#certificate(`${file}-cert.pub`, false);
    const all = own === undefined ? certificates : [own, ...certificates];
    const blob = await publicHalf(file);
    const open = this.#opener(file, bytes);
    const fitting = (key: Uint8Array): Certificate[] => all.filter(({ key: { blob } }) => same(blob, key));
    if (blob !== undefined) return { file, blob, certificates: fitting(blob), open };
    // Without a .pub beside it, the file itself has to be opened; a passphrase is asked for when its turn has come.
    try {
      const key = await parsePrivateKey(bytes);
      return { file, blob: key.blob, certificates: fitting(key.blob), open };
    } catch (error) {
      if (codeOf(error) === "OPERATOR_KEY_PASSPHRASE_NEEDED")
        return { file, blob: undefined, certificates: all, open };
      this.#notice(`${file} cannot be used: ${unusable(error)}.`);
      return undefined;
    }
  }

  async #publicOnly(
    file: string,
    named: string,
    certificates: readonly Certificate[],
  ): Promise<FileKey | undefined> {
    const blob = await publicBlob(file);
    if (blob === undefined) return undefined;
    const fitting = certificates.filter(({ key }) => same(key.blob, blob));
    return { file: named, blob, certificates: fitting, open: undefined };
  }

  /** As ssh(1): a key that others can read is not used. */
  async #isPrivate(file: string): Promise<boolean> {
    const { mode, uid } = await stat(file);
    if ((mode & 0o077) === 0 || uid !== process.getuid?.()) return true;
    this.#notice(`${file} is not used, since others can read it: chmod 600 ${file}`);
    return false;
  }

  async #certificate(file: string, required: boolean): Promise<Certificate | undefined> {
    try {
      const { key } = parsePublicKeyLine(await readFile(file, "utf8"));
      if ("key" in key && key.kind === "user") return key;
      this.#notice(`${file} is no user certificate.`);
    } catch (error) {
      const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (required || !absent) this.#notice(`${file} cannot be used: ${unusable(error)}.`);
    }
    return undefined;
  }

  /** Opens the private key, once. */
  #opener(file: string, bytes: Uint8Array): () => Promise<PrivateKey> {
    let opened: Promise<PrivateKey> | undefined;
    return () => (opened ??= this.#open(file, bytes));
  }

  async #open(file: string, bytes: Uint8Array): Promise<PrivateKey> {
    let passphrase = "";
    for (let tries = 0; ; tries++) {
      try {
        return await parsePrivateKey(bytes, passphrase);
      } catch (error) {
        const code = codeOf(error);
        const wrong = code === "OPERATOR_KEY_PASSPHRASE_WRONG";
        if (!wrong && code !== "OPERATOR_KEY_PASSPHRASE_NEEDED") {
          throw new clientErrors.OPERATOR_CLIENT_KEY(`${file} cannot be used: ${unusable(error)}.`, {
            cause: error,
          });
        }
        const given = tries < maxPassphraseTries ? await this.#options.passphrase?.(file, wrong) : undefined;
        if (given === undefined) {
          throw new clientErrors.OPERATOR_CLIENT_KEY(
            `${file} is passed over: it needs ${wrong ? "another" : "a"} passphrase; give it on a terminal, or load the key into an agent: ssh-add ${file}`,
          );
        }
        passphrase = given;
      }
    }
  }
}

function identitiesOf(
  label: string,
  blob: Uint8Array,
  certificates: readonly Certificate[],
  sign: Identity["sign"],
): Identity[] {
  const key = decoded(blob);
  if (key === undefined) return [];
  const certified = certificates
    .filter((each) => same(each.key.blob, blob))
    .map((each) => ({
      label: `${label} (certificate)`,
      blob: each.blob,
      algorithms: keyAlgorithms(each),
      sign,
    }));
  return [...certified, { label, blob, algorithms: keyAlgorithms(key), sign }];
}

/** Undefined for a type that is not known here. */
function decoded(blob: Uint8Array): ReturnType<typeof decodeAnyKey> | undefined {
  try {
    return decodeAnyKey(blob);
  } catch (error) {
    if (error instanceof PosternError && error.blame === "PEER") return undefined;
    throw error;
  }
}

async function readSmall(file: string): Promise<Buffer> {
  const { size } = await stat(file);
  if (size > maxKeyFileBytes) throw new Error(`it is larger than ${maxKeyFileBytes} bytes`);
  return await readFile(file);
}

async function publicHalf(file: string): Promise<Uint8Array | undefined> {
  return await publicBlob(`${file}.pub`);
}

async function publicBlob(file: string): Promise<Uint8Array | undefined> {
  try {
    const { key } = parsePublicKeyLine(await readFile(file, "utf8"));
    return "key" in key ? key.key.blob : key.blob;
  } catch {
    return undefined;
  }
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** An agent's key is that of a file, alone or in a certificate. */
function sameOrCertified(held: Uint8Array, blob: Uint8Array): boolean {
  if (same(held, blob)) return true;
  const key = decoded(held);
  return key !== undefined && "key" in key && same(key.key.blob, blob);
}

function codeOf(error: unknown): string {
  return error instanceof PosternError ? error.code : "";
}

function unusable(error: unknown): string {
  if (codeOf(error) === "OPERATOR_KEY_UNSUPPORTED")
    return "it is of a kind that needs an agent here; try ssh-add";
  return fileReasonOf(error);
}
