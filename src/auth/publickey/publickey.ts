import type { Template } from "#base";
import type { AuthContext, AuthKind, AuthMethod, AuthPorts, KeyProof, Proof, Verdict } from "#contract";
import {
  type AuthorizedKey,
  certificateOptions,
  checkAuthorizedKey,
  defaultKeyOptions,
  fingerprint,
  isForKey,
  type KeyOptions,
  missingPresence,
} from "#ssh/keys";
import { authoritiesIn } from "../https/index.ts";
import { publicKeyErrors } from "./errors.ts";
import type { FetchOptions } from "./fetch.ts";
import { KeyCache } from "./key-cache.ts";
import { restrictionsOf } from "./restrictions.ts";
import { defaults, type PublicKeyConfig, schema } from "./schema.ts";
import { keysOfFile, keysOfUpstream, keysOfUrl, keysOfUser, listedKey } from "./sources.ts";

/**
 * A public key that stands in an authorized_keys file or list, or a certificate by an authority that does; the lists may be here, at
 * an address, or on the upstream.
 */
export const publickey: AuthKind<PublicKeyConfig> = {
  kind: "publickey",
  summary:
    "A public key or certificate: listed here or in files, at an address, on the upstream, or the one by which the rule was chosen.",
  schema,
  create: async (config, ports) => {
    const judge = new KeyJudge(config, ports, await fetchOptions(config, ports));
    return {
      kind: "publickey",
      methods: ["publickey"],
      defers: false,
      givesPassword: false,
      attempt: (proof, context) => judge.attempt(proof, context),
      [Symbol.asyncDispose]: async () => {},
    } satisfies AuthMethod;
  },
};

async function fetchOptions(
  { timeoutSeconds = defaults.timeoutSeconds, tlsAuthorities, dangerouslyAllowHttp }: PublicKeyConfig,
  { clock, files }: AuthPorts,
): Promise<FetchOptions> {
  const invalid = (reason: string): Error => new publicKeyErrors.OPERATOR_KEY_SOURCE_INVALID(reason);
  const authorities = await authoritiesIn(tlsAuthorities, files, invalid);
  return { authorities, timeoutMs: timeoutSeconds * 1000, allowHttp: dangerouslyAllowHttp === true, clock };
}

/** One configured method, and what it remembers of the sources it asks. */
class KeyJudge {
  readonly #config: PublicKeyConfig;
  readonly #ports: AuthPorts;
  readonly #fetch: FetchOptions;
  readonly #listed: readonly AuthorizedKey[];
  readonly #ofUrls: KeyCache;
  readonly #ofUpstream: KeyCache;

  constructor(config: PublicKeyConfig, ports: AuthPorts, fetch: FetchOptions) {
    this.#config = config;
    this.#ports = ports;
    this.#fetch = fetch;
    this.#listed = (config.keys ?? []).map(listedKey);
    const { cacheSeconds = defaults.cacheSeconds, staleSeconds = defaults.staleSeconds } = config;
    const { clock, log } = ports;
    const freshMs = cacheSeconds * 1000;
    this.#ofUrls = new KeyCache({ freshMs, staleMs: staleSeconds * 1000, clock, log });
    // An upstream that is down lets nobody in anyway.
    this.#ofUpstream = new KeyCache({ freshMs, staleMs: 0, clock, log });
  }

  async attempt(proof: Proof, context: AuthContext): Promise<Verdict> {
    if (proof.method !== "publickey") return { kind: "denied", reason: "no key was shown" };
    const startedMs = this.#ports.clock.monotonic();
    const verdict = await this.#judge(proof, context);
    if (verdict.kind === "denied") await this.#pace(startedMs, proof.proven);
    return verdict;
  }

  async #judge(proof: KeyProof, context: AuthContext): Promise<Verdict> {
    const { matched, upstreamFile } = this.#config;
    const revoked = await this.#ports.revocation?.reasonAgainst(proof.key);
    if (revoked !== undefined) return { kind: "denied", reason: revoked };
    const absent = this.#missingHardware(proof);
    if (absent !== undefined) return { kind: "denied", reason: absent };
    if (matched === true && context.matchedKey === true) {
      // Of a certificate, its own options tell whether a touch is needed.
      const options = { ...defaultKeyOptions, touchRequired: !("key" in proof.key) };
      const refusal = missingFor(options, proof);
      return refusal === undefined ? accepted(options, proof) : { kind: "denied", reason: refusal };
    }
    const verdict = judgeLines(await this.#lines(context), proof, context);
    if (verdict.kind === "accepted" || upstreamFile === undefined) return verdict;
    // A login at the upstream is spent on nobody who has not shown that the key is theirs; so all keys are answered alike.
    if (!proof.proven) return { kind: "undecided" };
    return judgeLines(
      await keysOfUpstream(upstreamFile, context, this.#ofUpstream, this.#ports),
      proof,
      context,
    );
  }

  async #lines(context: AuthContext): Promise<readonly AuthorizedKey[]> {
    const { files = [], users, urls = [] } = this.#config;
    const { captures } = context;
    const lines = [...this.#listed];
    const add = async (
      templates: readonly Template[],
      read: (one: Template) => Promise<readonly AuthorizedKey[]>,
    ): Promise<void> => {
      for (const template of templates) for (const line of await read(template)) lines.push(line);
    };
    await add(files, (file) => keysOfFile(file, captures, this.#ports));
    if (users !== undefined) lines.push(...(await keysOfUser(users, context, this.#ports)));
    await add(urls, (url) => keysOfUrl(url, captures, this.#ofUrls, this.#fetch, this.#ports));
    return lines;
  }

  /** Whether the rule wants security keys, and this is none that did as it should. */
  #missingHardware({ key, proven, touched, verified }: KeyProof): string | undefined {
    const { touchRequired = false, verifyRequired = false } = this.#config;
    if (!touchRequired && !verifyRequired) return undefined;
    const { application } = "key" in key ? key.key : key;
    if (application === undefined) return "it is no security key";
    if (!proven) return undefined;
    return missingPresence(
      { valid: true, touched: touched ?? false, verified: verified ?? false },
      { touchRequired, verifyRequired },
    );
  }

  /** From outside, an answer that was remembered must not look quicker than one that was asked for. */
  async #pace(startedMs: number, proven: boolean): Promise<void> {
    const { clock } = this.#ports;
    const usual = this.#ofUrls.paceMs + (proven ? this.#ofUpstream.paceMs : 0);
    const restMs = startedMs + usual - clock.monotonic();
    if (restMs <= 0) return;
    await new Promise<void>((resolve) => {
      clock.after(restMs, resolve);
    });
  }
}

function judgeLines(lines: readonly AuthorizedKey[], proof: KeyProof, context: AuthContext): Verdict {
  let reason = "the key is not listed";
  // Several lines may be about one key: the first that lets it in counts.
  for (const line of lines) {
    if (!isForKey(line, proof.key)) continue;
    const refusal = refuse(line, proof, context);
    if (refusal === undefined) return accepted(line.options, proof);
    reason = `${line.fileName}:${line.line}: ${refusal}`;
  }
  return { kind: "denied", reason };
}

function accepted(options: KeyOptions, proof: KeyProof): Verdict {
  return {
    kind: "accepted",
    by: describe(proof),
    restrictions: restrictionsOf(options, certifiedOptions(proof.key)),
  };
}

/** Why a line does not let in the bearer of the key it is about; undefined if it does. */
function refuse(
  line: AuthorizedKey,
  proof: KeyProof,
  { user, from, nowMs }: AuthContext,
): string | undefined {
  const { key } = proof;
  const refusal = checkAuthorizedKey(line, key, {
    user,
    address: from.ip ?? "unix",
    nowSeconds: Math.floor(nowMs / 1000),
  });
  if (refusal !== undefined) return refusal;
  const certified = certifiedOptions(key);
  const { command } = line.options;
  if (command !== undefined && certified?.forceCommand !== undefined && command !== certified.forceCommand)
    return "the line and the certificate have different commands";
  return missingFor(line.options, proof);
}

function missingFor(options: KeyOptions, proof: KeyProof): string | undefined {
  if (!proof.proven) return undefined;
  const certified = certifiedOptions(proof.key);
  return missingPresence(
    {
      valid: true,
      ...(proof.touched === undefined ? {} : { touched: proof.touched }),
      ...(proof.verified === undefined ? {} : { verified: proof.verified }),
    },
    {
      touchRequired: options.touchRequired || (certified?.touchRequired ?? false),
      verifyRequired: options.verifyRequired || (certified?.verifyRequired ?? false),
    },
  );
}

function certifiedOptions(key: KeyProof["key"]): ReturnType<typeof certificateOptions> | undefined {
  return "key" in key ? certificateOptions(key) : undefined;
}

function describe({ key }: KeyProof): string {
  if (!("key" in key)) return `${key.type} ${fingerprint(key.blob)}`;
  const authority = fingerprint(key.authority.blob);
  return `${key.type} ${fingerprint(key.key.blob)} id ${JSON.stringify(key.keyId)} serial ${key.serial} by ${authority}`;
}
