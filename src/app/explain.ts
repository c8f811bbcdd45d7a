import type { AuthConfig } from "#auth";
import { formatHostPort } from "#base";
import { type Config, loginSteps, type RuleConfig } from "#config";
import type { AuthMethod, Credential, NameEntry, PeerAddress, Rule, ServePlan } from "#contract";
import { Router, type RuleExplanation, type TargetExplanation, TargetRouter } from "#gateway";
import type { Certificate, PublicKey } from "#ssh/keys";

/** Who is asked about. */
export interface ExplainQuery {
  readonly user: string;
  /** An IP address; undefined if none is known. */
  readonly from: string | undefined;
  readonly nowMs: number;
  /** What the client shows. */
  readonly key?: PublicKey | Certificate | undefined;
}

export interface ExplainedUser {
  readonly rules: readonly RuleExplanation[];
  /** Absent: nobody goes anywhere by that name. */
  readonly upstream?: {
    readonly user: string;
    /** `host:port`, in the order in which they are tried. */
    readonly addresses: readonly string[];
  };
  /** The session ends here. */
  readonly serve?: ServePlan;
}

/** Which rule takes a user name, and why. Reads no file: whoever may read the configuration may ask. */
export async function explain(
  config: Config,
  { user, from, nowMs, key }: ExplainQuery,
): Promise<ExplainedUser> {
  // In their order, even where the rule shuffles them.
  const router = new Router(config.rules.map(sketch), () => 0.999_999);
  const { rules, route } = router.explain({
    user,
    from: whence(from),
    nowMs,
    ...(key === undefined ? {} : { key }),
  });
  if (route === undefined) return { rules };
  if (route.serve !== undefined) return { rules, serve: route.serve };
  return { rules, upstream: { user: route.user, addresses: route.addresses.map(formatHostPort) } };
}

/** Whom a name is asked about that came by another way than the user name. */
export interface ExplainNameQuery extends Omit<ExplainQuery, "user" | "key"> {
  readonly name: string;
  readonly entry: NameEntry;
  readonly port?: number;
}

/** Which target a name stands for, and which rule leads there. */
export async function explainName(
  config: Config,
  { from, ...query }: ExplainNameQuery,
): Promise<TargetExplanation> {
  const router = new TargetRouter(config.targets, config.spliceRules, () => 0.999_999);
  return router.explain({ ...query, from: whence(from) });
}

function whence(from: string | undefined): PeerAddress {
  return from === undefined ? { text: "an address that was not given" } : { ip: from, text: from };
}

/** The rule with adapters that only look like the real ones. */
function sketch(rule: RuleConfig): Rule {
  const { name, match, targets, serve } = rule;
  const login = rule.login.map(
    (each): AuthMethod => ({
      kind: each.kind,
      methods: methodsOf(each),
      defers: each.kind === "password" && each.check === "upstream",
      givesPassword: each.kind === "password",
      attempt: async () => ({ kind: "denied", reason: "only explained" }),
      [Symbol.asyncDispose]: async () => {},
    }),
  );
  const credentials = rule.upstream.credentials.map(
    (each): Credential => ({
      kind: each.kind,
      needsClientPassword: each.kind === "client-password",
      ways: async () => [],
      [Symbol.asyncDispose]: async () => {},
    }),
  );
  return {
    name,
    match,
    login: loginSteps(login, ({ kind }) => kind, rule.require),
    upstream: { ...rule.upstream, credentials },
    ...(targets === undefined ? {} : { targets }),
    ...(serve === undefined ? {} : { serve }),
  };
}

function methodsOf(each: AuthConfig): AuthMethod["methods"] {
  if (each.kind === "totp") return ["keyboard-interactive"];
  return each.kind === "password" ? (each.methods ?? ["password"]) : [each.kind];
}
