import { PosternError } from "#base";
import type {
  AuthContext,
  AuthKind,
  AuthMethod,
  AuthPorts,
  BrowserLogin,
  Identity,
  InteractiveProof,
  Proof,
  SignInDesk,
  Verdict,
} from "#contract";
import { authoritiesIn } from "../https/index.ts";
import { browserLogin, identityOf } from "./browser.ts";
import { oidcErrors } from "./errors.ts";
import { neededClaims } from "./person.ts";
import { type DeviceCode, Provider } from "./provider.ts";
import { defaults, type OidcConfig, schema } from "./schema.ts";

/** Sign-ins that wait for somebody at a browser, by one method of one process. */
const maxWaiting = 500;

/** Sign-in at an OpenID provider, in a browser, with a code that is shown by SSH. */
export const oidc: AuthKind<OidcConfig> = {
  kind: "oidc",
  summary:
    "Single sign-on by OpenID Connect: the person is shown an address and a short code, and signs in with a browser, on whatever device. See [single-sign-on.md](single-sign-on.md).",
  schema,
  create: async (config, ports) => {
    const invalid = (reason: string): Error => new oidcErrors.OPERATOR_OIDC_INVALID(reason);
    if (config.flow === "browser" && ports.signIn === undefined)
      throw invalid("flow: browser needs an address for browsers: add signIn");
    const authorities = await authoritiesIn(config.tlsAuthorities, ports.files, invalid);
    const { clock } = ports;
    const provider = new Provider({ config, claims: neededClaims(config), authorities, clock });
    const browser = browserLogin(config, provider);
    const judge = new OidcJudge(config, ports, provider, browser);
    return {
      kind: "oidc",
      methods: ["keyboard-interactive"],
      defers: false,
      givesPassword: false,
      browser,
      attempt: (proof, context) => judge.attempt(proof, context),
      [Symbol.asyncDispose]: async () => {},
    } satisfies AuthMethod;
  },
};

class OidcJudge {
  readonly #config: OidcConfig;
  readonly #ports: AuthPorts;
  readonly #provider: Provider;
  readonly #browser: BrowserLogin;
  #waiting = 0;

  constructor(config: OidcConfig, ports: AuthPorts, provider: Provider, browser: BrowserLogin) {
    this.#config = config;
    this.#ports = ports;
    this.#provider = provider;
    this.#browser = browser;
  }

  /** A name that leads nowhere is asked to sign in like any other, and told what a person without leave is told. */
  async attempt(proof: Proof, context: AuthContext): Promise<Verdict> {
    if (proof.method !== "keyboard-interactive")
      return { kind: "denied", reason: "nobody was asked to sign in" };
    if (this.#waiting >= maxWaiting)
      return await this.#refused(proof, new oidcErrors.DENIED_OIDC_BUSY(), context);
    this.#waiting += 1;
    const { signIn: desk } = this.#ports;
    const byOurPages = this.#config.flow === "browser" && desk !== undefined;
    let identity: Identity;
    try {
      identity = byOurPages
        ? await this.#byBrowser(proof, context, desk)
        : await this.#byDeviceGrant(proof, context);
    } catch (error) {
      if (!(error instanceof PosternError) || !isOurs(error)) throw error;
      return await this.#refused(proof, error, context);
    } finally {
      this.#waiting -= 1;
    }
    const { who, by, subject } = identity;
    const reason = this.#refusal(identity, context);
    if (reason === undefined) return { kind: "accepted", by, subject };
    await tell(proof, `You are signed in as ${who}, who may not log in here by this name.`);
    return { kind: "denied", reason: `${who} ${reason}`, subject };
  }

  #refusal(identity: Identity, { captures, pretended }: AuthContext): string | undefined {
    return pretended ? "the name leads nowhere" : this.#browser.refusal(identity, captures);
  }

  async #byDeviceGrant(proof: InteractiveProof, { signal }: AuthContext): Promise<Identity> {
    const signIn = await this.#provider.begin();
    await proof.ask(this.#request(signIn.code));
    return identityOf(await signIn.finished(signal), this.#config);
  }

  /** The code is ours, and so is the page that it is entered at. */
  async #byBrowser(proof: InteractiveProof, context: AuthContext, desk: SignInDesk): Promise<Identity> {
    const { user, from, signal } = context;
    const { provider } = this.#browser;
    const { waitSeconds = defaults.waitSeconds } = this.#config;
    const agreed = Promise.withResolvers<Identity>();
    agreed.promise.catch(() => {});
    using open = desk.open({
      user,
      from,
      provider,
      sameNetwork: this.#config.sameNetwork === true,
      mayBe: (identity) => this.#refusal(identity, context) === undefined,
      settle: agreed.resolve,
      refuse: () => agreed.reject(new oidcErrors.DENIED_OIDC_REFUSED()),
      fail: agreed.reject,
    });
    if (open === undefined) throw new oidcErrors.DENIED_OIDC_BUSY();
    const late = (): void => agreed.reject(new oidcErrors.DENIED_OIDC_EXPIRED(`${waitSeconds} seconds`));
    using _limit = this.#ports.clock.after(waitSeconds * 1000, late);
    const left = (): void => agreed.reject(signal.reason);
    signal.addEventListener("abort", left, { once: true });
    try {
      signal.throwIfAborted();
      const { code: userCode, address, addressWithCode } = open;
      await proof.ask(this.#request({ userCode, address, addressWithCode }));
      return await agreed.promise;
    } finally {
      signal.removeEventListener("abort", left);
    }
  }

  /** The person is told why; the log is told more. */
  async #refused(
    proof: InteractiveProof,
    error: PosternError,
    { login, user }: AuthContext,
  ): Promise<Verdict> {
    const { log } = this.#ports;
    const level = error.blame === "UPSTREAM" ? "warn" : "info";
    const { issuer } = this.#config;
    log[level]("oidc-failed", { user, rule: login?.rule, session: login?.session, issuer, error });
    await tell(proof, error.user);
    return {
      kind: "denied",
      reason: `${error.code}${error.detail === undefined ? "" : `: ${error.detail}`}`,
    };
  }

  #request({ userCode, address, addressWithCode }: DeviceCode): Parameters<InteractiveProof["ask"]>[0] {
    const lines = [
      `To log in, open ${address}`,
      `and enter the code ${userCode}`,
      ...(addressWithCode === undefined || addressWithCode === address ? [] : [`or open ${addressWithCode}`]),
    ];
    const prompts =
      this.#config.confirm === true ? [{ text: "Press Enter when you have signed in: ", echo: true }] : [];
    return { name: "", instruction: `${lines.join("\n")}\n`, prompts };
  }
}

/** Shown as a question that has none: clients have no other place for it in the midst of a login. */
async function tell(proof: InteractiveProof, text: string): Promise<void> {
  await proof.ask({ name: "", instruction: `${text}\n`, prompts: [] });
}

function isOurs({ code }: PosternError): boolean {
  return Object.hasOwn(oidcErrors, code);
}
