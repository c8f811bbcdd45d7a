import { type AuthConfig, webhookMethods } from "#auth";
import { formatHostPort } from "#base";
import {
  type Config,
  loginSteps,
  type RuleConfig,
  type SpliceRuleConfig,
  type UpstreamConfig,
} from "#config";
import type {
  AuthMethod,
  Credential,
  NameEntry,
  PeerAddress,
  Rule,
  ServePlan,
  SpliceRoute,
  SpliceRule,
  UpstreamPlan,
} from "#contract";
import { Router, type RuleExplanation, takesUser, type TargetExplanation, TargetRouter } from "#gateway";
import { deviceOfHost } from "#http-proxy";
import type { Certificate, PublicKey } from "#ssh/keys";

/** Who is asked about. */
export interface ExplainQuery {
  readonly user: string;
  /** An IP address; undefined if none is known. */
  readonly from: string | undefined;
  readonly nowMs: number;
  /** What the client shows. */
  readonly key?: PublicKey | Certificate | undefined;
  /** The target by whose name it came, and whose SSH ends here. */
  readonly target?: string | undefined;
}

export interface ExplainedMount {
  readonly at: string;
  /** As configured. Absent: the home there. */
  readonly root?: string;
  readonly user: string;
  /** `host:port`, in the order in which they are tried. */
  readonly addresses: readonly string[];
}

export interface ExplainedUser {
  readonly rules: readonly RuleExplanation[];
  /** Kinds of login of the rule: each step in turn, any of its kinds. Absent: no rule takes the name. */
  readonly login?: readonly (readonly string[])[];
  /** Absent: nobody goes anywhere by that name. */
  readonly upstream?: {
    readonly user: string;
    /** `host:port`, in the order in which they are tried. */
    readonly addresses: readonly string[];
  };
  /** The session ends here. */
  readonly serve?: ServePlan;
  /** Of a tree of mounts: where each leads. */
  readonly mounts?: readonly ExplainedMount[];
  /** The target that was asked about: there is none of that name, or its SSH does not end here, so nobody is asked anything. */
  readonly target?: "unknown" | "unopened";
}

/** Which rule takes a user name, and why. Reads no file: whoever may read the configuration may ask. */
export async function explain(
  config: Config,
  { user, from, nowMs, key, target: name }: ExplainQuery,
): Promise<ExplainedUser> {
  const found = name === undefined ? undefined : targetOf(config, name, from, nowMs);
  if (name !== undefined && found === undefined) return { rules: [], target: "unknown" };
  if (found?.mode === "splice") return { rules: [], target: "unopened" };
  // Without an address it is the gateway itself, by its ordinary rules.
  const target = found === undefined || found.addresses.length === 0 ? {} : { target: found };
  // In their order, even where the rule shuffles them.
  const router = new Router(config.rules.map(sketch), () => 0.999_999);
  const { rules, route } = router.explain({
    user,
    from: whence(from),
    nowMs,
    ...target,
    ...(key === undefined ? {} : { key }),
  });
  if (route === undefined) return { rules };
  const login = route.login.map((step) => [...new Set(step.map(({ kind }) => kind))]);
  const mounts = route.mounts?.map(({ at, plan, route: way }): ExplainedMount => {
    const root = plan.root?.expand(way.captures);
    return {
      at,
      ...(root === undefined ? {} : { root }),
      user: way.user,
      addresses: way.addresses.map(formatHostPort),
    };
  });
  if (route.serve !== undefined)
    return { rules, login, serve: route.serve, ...(mounts === undefined ? {} : { mounts }) };
  const addresses = route.addresses.map(formatHostPort);
  return { rules, login, upstream: { user: route.user, addresses } };
}

/** Where a name leads whom some rule lets in by it. */
function targetOf(
  { targets }: Config,
  name: string,
  from: string | undefined,
  nowMs: number,
): SpliceRoute | undefined {
  const all = { name: "explain", targets: ["*"] };
  return new TargetRouter(targets, []).routeWithin(all, { entry: "jump", name, from: whence(from), nowMs });
}

/** Whom a name is asked about that came by another way than the user name. */
export interface ExplainNameQuery extends Omit<ExplainQuery, "user" | "key"> {
  readonly name: string;
  readonly entry: NameEntry;
  readonly port?: number;
  /** Whose password is taken to be right. */
  readonly user?: string | undefined;
  /** Names in the certificate that the client is taken to have shown: `CN:ada`. */
  readonly certificate?: readonly string[] | undefined;
  /** Of the device whose pages are meant: where the configuration is read alone, nobody knows them. */
  readonly tags?: readonly string[] | undefined;
}

/** Which target a name stands for, and which rule leads there. */
export async function explainName(
  config: Config,
  { from, user, certificate, tags = [], ...asked }: ExplainNameQuery,
): Promise<TargetExplanation> {
  const rules = config.spliceRules.map(sketchSplice);
  const router = new TargetRouter(config.targets, rules);
  const takers = rules.filter(({ login, match }) => login !== undefined && takesUser(match, user ?? ""));
  const query = {
    ...asked,
    from: whence(from),
    ...(user === undefined ? {} : { proven: { user, rules: new Set(takers.map(({ name }) => name)) } }),
    ...(certificate === undefined ? {} : { certificate }),
  };
  if (query.entry !== "web") return router.explain(query);
  const domain = config.devices?.web?.domain;
  const host = query.name.toLowerCase();
  const name = (domain === undefined ? undefined : deviceOfHost(host, domain)) ?? host;
  return router.explainWeb({ name, tags }, query);
}

function sketchSplice({ login, ...rule }: SpliceRuleConfig): SpliceRule {
  return login === undefined ? rule : { ...rule, login: login.map(sketchLogin) };
}

function whence(from: string | undefined): PeerAddress {
  return from === undefined ? { text: "an address that was not given" } : { ip: from, text: from };
}

/** The rule with adapters that only look like the real ones. */
function sketch(rule: RuleConfig): Rule {
  const { name, match, targets, serve } = rule;
  const login = rule.login.map(sketchLogin);
  const upstream = sketchUpstream(rule.upstream);
  const mounts = rule.sftp?.mounts?.map((mount) => ({ ...mount, upstream: sketchUpstream(mount.upstream) }));
  const sftp = rule.sftp === undefined || mounts === undefined ? {} : { sftp: { ...rule.sftp, mounts } };
  return {
    name,
    match,
    login: loginSteps(login, ({ kind }) => kind, rule.require),
    upstream,
    ...sftp,
    ...(targets === undefined ? {} : { targets }),
    ...(serve === undefined ? {} : { serve }),
  };
}

function sketchUpstream(plan: UpstreamConfig): UpstreamPlan {
  const credentials = plan.credentials.map(
    (each): Credential => ({
      kind: each.kind,
      needsClientPassword: each.kind === "client-password",
      relays: each.kind === "relay",
      ways: async () => [],
      [Symbol.asyncDispose]: async () => {},
    }),
  );
  return { ...plan, credentials };
}

function sketchLogin(each: AuthConfig): AuthMethod {
  return {
    kind: each.kind,
    methods: methodsOf(each),
    defers: each.kind === "relay" || (each.kind === "password" && each.check === "upstream"),
    relays: each.kind === "relay",
    givesPassword:
      each.kind === "password" ||
      (each.kind === "webhook" && each.sendPassword === true && !methodsOf(each).includes("publickey")),
    attempt: async () => ({ kind: "denied", reason: "only explained" }),
    [Symbol.asyncDispose]: async () => {},
  };
}

function methodsOf(each: AuthConfig): AuthMethod["methods"] {
  if (each.kind === "totp" || each.kind === "oidc") return ["keyboard-interactive"];
  if (each.kind === "webhook") return webhookMethods(each);
  if (each.kind === "device") return ["publickey"];
  if (each.kind === "relay") return each.methods;
  return each.kind === "password" ? (each.methods ?? ["password"]) : [each.kind];
}
