import { PosternError } from "#base";
import type {
  AuthContext,
  AuthKind,
  AuthMethod,
  AuthPorts,
  InteractiveProof,
  Proof,
  Verdict,
} from "#contract";
import { authoritiesIn } from "../https/index.ts";
import { oidcErrors } from "./errors.ts";
import { type Claims, neededClaims, personOf, refusal } from "./person.ts";
import { type DeviceCode, Provider } from "./provider.ts";
import { type OidcConfig, schema } from "./schema.ts";

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
    const authorities = await authoritiesIn(config.tlsAuthorities, ports.files, invalid);
    const { clock } = ports;
    const provider = new Provider({ config, claims: neededClaims(config), authorities, clock });
    const judge = new OidcJudge(config, ports, provider);
    return {
      kind: "oidc",
      methods: ["keyboard-interactive"],
      defers: false,
      givesPassword: false,
      attempt: (proof, context) => judge.attempt(proof, context),
      [Symbol.asyncDispose]: async () => {},
    } satisfies AuthMethod;
  },
};

class OidcJudge {
  readonly #config: OidcConfig;
  readonly #ports: AuthPorts;
  readonly #provider: Provider;
  #waiting = 0;

  constructor(config: OidcConfig, ports: AuthPorts, provider: Provider) {
    this.#config = config;
    this.#ports = ports;
    this.#provider = provider;
  }

  /** A name that leads nowhere is asked to sign in like any other, and told what a person without leave is told. */
  async attempt(proof: Proof, context: AuthContext): Promise<Verdict> {
    if (proof.method !== "keyboard-interactive")
      return { kind: "denied", reason: "nobody was asked to sign in" };
    if (this.#waiting >= maxWaiting)
      return await this.#refused(proof, new oidcErrors.DENIED_OIDC_BUSY(), context);
    this.#waiting += 1;
    let claims: Claims & { readonly sub: string };
    try {
      const signIn = await this.#provider.begin();
      await proof.ask(this.#request(signIn.code));
      claims = await signIn.finished(context.signal);
    } catch (error) {
      if (!(error instanceof PosternError) || !isOurs(error)) throw error;
      return await this.#refused(proof, error, context);
    } finally {
      this.#waiting -= 1;
    }
    return await this.#judge(proof, claims, context);
  }

  async #judge(
    proof: InteractiveProof,
    claims: Claims & { readonly sub: string },
    { captures, pretended }: AuthContext,
  ): Promise<Verdict> {
    const { name: template, issuer } = this.#config;
    const subject = printable(claims.sub);
    const person = personOf(claims, claims.sub, this.#config);
    const who = printable(person.email ?? claims.sub);
    const name = template.expand(captures) ?? "";
    const reason = pretended ? "the name leads nowhere" : refusal(person, claims, name, this.#config);
    if (reason === undefined) return { kind: "accepted", by: `oidc ${who} at ${issuer}`, subject };
    await tell(proof, `You are signed in as ${who}, who may not log in here by this name.`);
    return { kind: "denied", reason: `${who} ${reason}`, subject };
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

/** For a line of the log, and for a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
}
