import { join } from "node:path";
import type * as Acme from "acme-client";
import type { AcmePlan, CertificatePair, FileUpdater } from "#contract";
import { acmeErrors } from "./errors.ts";

/** Gives out certificates. */
export interface Authority {
  /**
   * A certificate for that name. `show` is told what is to be shown to the authority as proof, and, with undefined, that it need not be
   * any more. Throws UPSTREAM_ACME (this name), UPSTREAM_ACME_AWAY (any name).
   */
  order(name: string, show: (proof: CertificatePair | undefined) => void): Promise<CertificatePair>;
}

/** How long one request may take. */
const requestMs = 20_000;

/** How often it is asked whether it is done: soon at first, as somebody may be waiting. */
const polling = { backoffAttempts: 15, backoffMin: 500, backoffMax: 10_000 } as const;

/** A common name is no longer than that (RFC 5280, appendix A.1). The other field holds all. */
const maxCommonNameChars = 64;

const challengeType = "tls-alpn-01";

/** Out of an authority's own words, in a line of the log. */
const maxReasonChars = 300;

/** An authority on the network, by RFC 8555. The account's key is a file, made when it is first needed. */
export class NetworkAuthority implements Authority {
  readonly #plan: AcmePlan;
  readonly #folder: string;
  readonly #files: FileUpdater;
  #account: Promise<{ readonly acme: typeof Acme; readonly client: Acme.Client }> | undefined;

  constructor(plan: AcmePlan, folder: string, files: FileUpdater) {
    this.#plan = plan;
    this.#folder = folder;
    this.#files = files;
  }

  async order(name: string, show: (proof: CertificatePair | undefined) => void): Promise<CertificatePair> {
    const { acme, client } = await this.#away(() => this.#entered());
    const order = await this.#away(() => client.createOrder({ identifiers: [{ type: "dns", value: name }] }));
    try {
      for (const authz of await client.getAuthorizations(order))
        if (authz.status !== "valid") await this.#prove(acme, client, authz, show);
      const key = await acme.crypto.createPrivateEcdsaKey("P-256");
      const common = name.length > maxCommonNameChars ? {} : { commonName: name };
      const [, request] = await acme.crypto.createCsr({ ...common, altNames: [name] }, key);
      const done = await client.finalizeOrder(order, request);
      return { certificate: await client.getCertificate(done), key: key.toString("latin1") };
    } catch (cause) {
      throw new acmeErrors.UPSTREAM_ACME(reasonOf(cause), { cause });
    }
  }

  async #prove(
    acme: typeof Acme,
    client: Acme.Client,
    authz: Acme.Authorization,
    show: (proof: CertificatePair | undefined) => void,
  ): Promise<void> {
    // The library's types know the two older kinds alone.
    const challenge = authz.challenges.find(({ type }: { readonly type: string }) => type === challengeType);
    if (challenge === undefined) throw new Error(`the authority offers no ${challengeType}`);
    const said = await client.getChallengeKeyAuthorization(challenge);
    const key = await acme.crypto.createPrivateEcdsaKey("P-256");
    const [, certificate] = await acme.crypto.createAlpnCertificate(authz, said, key);
    show({ certificate: certificate.toString("latin1"), key: key.toString("latin1") });
    try {
      await client.completeChallenge(challenge);
      await client.waitForValidStatus(challenge);
    } finally {
      show(undefined);
    }
  }

  async #entered(): Promise<{ readonly acme: typeof Acme; readonly client: Acme.Client }> {
    this.#account ??= this.#enter();
    try {
      return await this.#account;
    } catch (error) {
      this.#account = undefined;
      throw error;
    }
  }

  async #enter(): Promise<{ readonly acme: typeof Acme; readonly client: Acme.Client }> {
    // Only now: who has no ACME should not pay for it.
    const acme = (await import("acme-client")).default as unknown as typeof Acme;
    const { defaults } = acme.axios;
    defaults.timeout = requestMs;
    // It would wait in its place for as long as the authority says, and all orders behind it: trying again later is our own business.
    Object.assign(defaults, { acmeSettings: { ...settingsOf(defaults), retryMaxAttempts: 0 } });
    const fresh = (await acme.crypto.createPrivateEcdsaKey("P-256")).toString("latin1");
    let accountKey = "";
    await this.#files.update(join(this.#folder, "account.key"), (text) => {
      accountKey = text.includes("-----BEGIN ") ? text : fresh;
      return accountKey === text ? undefined : accountKey;
    });
    const { directory: directoryUrl, email } = this.#plan;
    const client = new acme.Client({ directoryUrl, accountKey, ...polling });
    // Whoever has an account is given it again.
    const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
    await client.createAccount({ termsOfServiceAgreed: true, ...contact });
    return { acme, client };
  }

  /** What fails here would fail for every name. */
  async #away<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw new acmeErrors.UPSTREAM_ACME_AWAY(reasonOf(cause), { cause });
    }
  }
}

/** What the library adds to those of axios. */
function settingsOf(defaults: object): object {
  return (defaults as { readonly acmeSettings?: object }).acmeSettings ?? {};
}

function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, maxReasonChars);
}
