import { type Captures, formatHostPort, type HostPort, type Template } from "#base";
import type {
  AddressPlan,
  Arrival,
  LoginDirection,
  MountRoute,
  Route,
  Rule,
  RuleMatch,
  SpliceRoute,
  Tunnels,
} from "#contract";
import { fillRoot, mountClash } from "#sftp";
import { gatewayErrors } from "./errors.ts";
import { KeyCondition, type KeyHolder } from "./key-condition.ts";
import { HostPatterns, isDialable } from "./host-pattern.ts";
import { ShownUsers } from "./shown-user.ts";
import { selects } from "./target-selector.ts";

/** A name longer than this matches nothing: it bounds the work of an operator's expression. */
export const maxUserNameChars = 256;

/** SSH's own port: an address whose port capture took no part in the match. */
const defaultPort = 22;

/** Who wants to go somewhere. */
export interface RouteQuery extends KeyHolder {
  /** What the client connected to. */
  readonly to?: Arrival["to"];
  /** The target that the client was led to by its name, and whose SSH ends here. */
  readonly target?: SpliceRoute | undefined;
}

/** What became of one rule, for `postern explain`. */
export interface RuleExplanation {
  readonly rule: string;
  /** `refused`: it matched, and so ends the search, but its target is not allowed or cannot be made out. */
  readonly outcome: "matched" | "skipped" | "refused" | "not-reached";
  readonly reason: string;
}

export interface Explanation {
  readonly rules: readonly RuleExplanation[];
  readonly route?: Route;
}

/** A route before this file vouches for it. */
type Unbranded = Pick<
  Route,
  | "rule"
  | "addresses"
  | "target"
  | "user"
  | "captures"
  | "login"
  | "plan"
  | "targets"
  | "serve"
  | "policy"
  | "sftp"
  | "mounts"
>;

interface PreparedRule {
  readonly rule: Rule;
  readonly targets: HostPatterns | undefined;
  readonly key: KeyCondition | undefined;
}

/** Chooses the rule for a user name: from top to bottom, the first that matches wins. */
export class Router {
  readonly #rules: readonly PreparedRule[];
  /** User names of these rules, as others may see them. */
  readonly shown: ShownUsers;
  readonly #random: () => number;
  readonly #devices: Pick<Tunnels, "known"> | undefined;

  /** `random` gives 0 ≤ x < 1, for `spread: random`. Throws OPERATOR_RULE_INVALID. */
  constructor(rules: readonly Rule[], random: () => number = Math.random, devices?: Pick<Tunnels, "known">) {
    this.#devices = devices;
    for (const rule of rules) checkRule(rule);
    this.shown = new ShownUsers(rules);
    this.#rules = rules.map((rule) => ({
      rule,
      key: keyConditionOf(rule),
      targets: rule.targets === undefined ? undefined : new HostPatterns(rule.targets),
    }));
    this.#random = random;
  }

  get rules(): readonly Rule[] {
    return this.#rules.map(({ rule }) => rule);
  }

  /** Undefined: nobody here goes by that name, or it may not go where it wants. */
  route(query: RouteQuery): Route | undefined {
    for (const prepared of this.#rules) {
      const captures = matchRule(prepared, query);
      if (typeof captures === "string") continue;
      const route = this.#resolve(prepared, captures, query);
      return typeof route === "string" ? undefined : route;
    }
    return undefined;
  }

  /** The same decision, with a reason for each rule. */
  explain(query: RouteQuery): Explanation {
    const rules: RuleExplanation[] = [];
    let decided = false;
    let found: Route | undefined;
    for (const prepared of this.#rules) {
      const { rule } = prepared;
      if (decided) {
        rules.push({ rule: rule.name, outcome: "not-reached", reason: "a rule above it matched" });
        continue;
      }
      const captures = matchRule(prepared, query);
      if (typeof captures === "string") {
        rules.push({ rule: rule.name, outcome: "skipped", reason: captures });
        continue;
      }
      decided = true;
      const route = this.#resolve(prepared, captures, query);
      if (typeof route === "string") {
        rules.push({ rule: rule.name, outcome: "refused", reason: route });
      } else {
        found = route;
        rules.push({ rule: rule.name, outcome: "matched", reason: whyMatched(prepared) });
      }
    }
    return { rules, ...(found === undefined ? {} : { route: found }) };
  }

  /** Of a device, where the rule leads to devices. */
  #tagsOf({ target }: Rule["upstream"], host: string): readonly string[] {
    return target === undefined ? [] : (this.#devices?.known(host)?.tags ?? []);
  }

  /** A route, or the reason why there is none. */
  #resolve({ rule, targets, key }: PreparedRule, captures: Captures, query: RouteQuery): Route | string {
    const plan = rule.upstream;
    const { target } = query;
    const own =
      target !== undefined &&
      plan.target === undefined &&
      plan.addresses.length === 0 &&
      rule.serve === undefined;
    const addresses = own
      ? [...target.addresses]
      : fillAddresses(plan.addresses, captures, (template, host) =>
          refuseHost(template, host, captures, targets, this.#tagsOf(plan, host)),
        );
    if (typeof addresses === "string") return addresses;
    const pool = own ? target.target : plan.target;
    // Of who is served here, the name at a target is known with the target.
    const user = rule.serve === undefined ? plan.user.expand(captures) : captures["user"];
    if (user === undefined) return `"${plan.user.text}" names a capture that took no part in the match`;
    if (user === "") return "the upstream's user name is empty";
    if (plan.spread === "random") shuffle(addresses, this.#random);
    const mounts = this.#mounts({ rule, targets, key }, captures);
    if (typeof mounts === "string") return mounts;
    const { name, login, serve, policy, sftp, targets: allowed } = rule;
    const matchedKey = key === undefined ? undefined : query.key?.blob;
    const more = {
      ...(pool === undefined ? {} : { target: pool }),
      ...(matchedKey === undefined ? {} : { matchedKey }),
      ...(allowed === undefined ? {} : { targets: allowed }),
      ...(serve === undefined ? {} : { serve }),
      ...(policy === undefined ? {} : { policy }),
      ...(sftp === undefined ? {} : { sftp }),
      ...(mounts === undefined ? {} : { mounts }),
    };
    const route: Unbranded = { rule: name, addresses, user, captures, login, plan, ...more };
    return route as Route;
  }

  /** The way to each mount of a rule that has some, or the reason why one has none. */
  #mounts({ rule, targets }: PreparedRule, captures: Captures): MountRoute[] | string | undefined {
    const { mounts } = rule.sftp ?? {};
    if (mounts === undefined) return undefined;
    const found: MountRoute[] = [];
    for (const mount of mounts) {
      const { upstream: plan } = mount;
      const at = fillRoot(mount.at, captures);
      if (at === undefined) return `the name brings into "${mount.at.text}" what is no folder's name`;
      const addresses = fillAddresses(plan.addresses, captures, (template, host) =>
        refuseHost(template, host, captures, targets, this.#tagsOf(plan, host)),
      );
      if (typeof addresses === "string") return addresses;
      const user = plan.user.expand(captures);
      if (user === undefined || user === "") return `"${plan.user.text}" makes no user name for ${at}`;
      if (plan.spread === "random") shuffle(addresses, this.#random);
      const target = plan.target === undefined ? {} : { target: plan.target };
      const { name, login } = rule;
      const route: Unbranded = { rule: name, addresses, user, captures, login, plan, ...target };
      found.push({ at, plan: mount, route: route as Route });
    }
    return mountClash(found.map(({ at }) => at)) ?? found;
  }
}

/**
 * For who is served here by a rule and has chosen one of its targets: the way there, with the rule's login. Undefined: the rule's
 * user name for it cannot be made out.
 */
export function routeToTarget(served: Route, target: SpliceRoute): Route | undefined {
  const { serve, ...route } = served;
  void serve;
  const captures = { ...target.captures, ...route.captures, target: target.target };
  const { plan } = route;
  const user = plan.user.expand(captures);
  if (user === undefined || user === "") return undefined;
  const { addresses, connectTimeoutMs } = target;
  const more = { target: target.target, plan: { ...plan, connectTimeoutMs } };
  const made: Unbranded = { ...route, captures, addresses, user, ...more };
  return made as Route;
}

/** The route as a login method chose it, within what its rule allows; or the reason why that may not be. */
export function directedRoute(
  route: Route,
  { address, user, credentials: chosen }: LoginDirection,
): Route | string {
  if (route.serve !== undefined) return "a way on was chosen, but the session ends at the gateway";
  let directed: Unbranded = route;
  if (address !== undefined) {
    const { host, port } = address;
    if (!isDialable(host) || host.includes("%")) return `"${host}" is no host name or address`;
    if (!new HostPatterns(route.targets ?? []).allow(host))
      return `"${host}" is not among the rule's targets`;
    // The pool was that of the rule's own target.
    const { target, ...rest } = directed;
    void target;
    directed = { ...rest, addresses: [{ host: host.toLowerCase(), port }] };
  }
  if (user !== undefined) directed = { ...directed, user };
  if (chosen !== undefined) {
    const { credentials: all } = route.plan;
    const credentials = chosen.flatMap((which) =>
      all.filter(({ kind }, at) => (typeof which === "number" ? at === which - 1 : kind === which)),
    );
    if (credentials.length === 0) return `the rule has none of the credentials ${chosen.join(", ")}`;
    directed = { ...directed, plan: { ...route.plan, credentials: [...new Set(credentials)] } };
  }
  return directed as Route;
}

/** Addresses with their captures filled in, or the reason why that cannot be. `refuse` gives the reason against a host. */
export function fillAddresses(
  plans: readonly AddressPlan[],
  captures: Captures,
  refuse: (template: Template, host: string) => string | undefined = () => undefined,
): HostPort[] | string {
  const addresses: HostPort[] = [];
  for (const { host: hostTemplate, port: portTemplate } of plans) {
    const host = hostTemplate.expand(captures);
    if (host === undefined) return `"${hostTemplate.text}" names a capture that took no part in the match`;
    // A zone can be any text, such as the end of a name that is allowed: `::1%x.lan`.
    if (hostTemplate.names.length > 0 && host.includes("%")) return `"${host}" has a zone`;
    const refusal = refuse(hostTemplate, host);
    if (refusal !== undefined) return refusal;
    const portText = portTemplate.expand(captures);
    const port = portText === undefined ? defaultPort : Number(portText);
    if (portText !== undefined && !/^[0-9]{1,5}$/.test(portText)) return `"${portText}" is no port`;
    if (port < 1 || port > 65535) return `${port} is no port`;
    addresses.push({ host: host.toLowerCase(), port });
  }
  return addresses;
}

/** The captures, or the reason why the rule does not match. */
function matchRule({ rule: { match }, key }: PreparedRule, query: RouteQuery): Captures | string {
  const { user, from, nowMs } = query;
  const elsewhere = targetRefusal(match, query.target);
  if (elsewhere !== undefined) return elsewhere;
  if (user === "" || user.length > maxUserNameChars) return "the name is empty or too long";
  let captures: Captures = { user, 0: user };
  if (match.user !== undefined && match.user !== user) return `the name is not "${match.user}"`;
  if (match.userPattern !== undefined) {
    const found = match.userPattern.match(user);
    if (found === undefined) return `the name does not match ${match.userPattern.source}`;
    captures = { ...found, user };
  }
  if (match.from !== undefined) {
    const { ip } = from;
    if (ip === undefined || !match.from.some((range) => range.contains(ip))) {
      return `${from.text} is not in ${match.from.map((range) => range.text).join(", ")}`;
    }
  }
  const place = placeRefusal(match, query.to);
  if (place !== undefined) return place;
  if (match.notBeforeMs !== undefined && nowMs < match.notBeforeMs) {
    return `it holds from ${new Date(match.notBeforeMs).toISOString()}`;
  }
  if (match.notAfterMs !== undefined && nowMs >= match.notAfterMs) {
    return `it held until ${new Date(match.notAfterMs).toISOString()}`;
  }
  if (match.to !== undefined && query.to !== undefined)
    captures = { ...captures, to: query.to.ip, toPort: String(query.to.port) };
  if (query.target !== undefined) captures = { ...captures, target: query.target.target };
  if (key === undefined) return captures;
  const found = key.check(query);
  return typeof found === "string" ? found : { ...found, ...captures };
}

/** Why the address that the client connected to is none that is meant; undefined if it is. */
export function placeRefusal({ to: places }: Pick<RuleMatch, "to">, to: Arrival["to"]): string | undefined {
  if (places === undefined || (to !== undefined && places.some((place) => place.contains(to))))
    return undefined;
  const where = to === undefined ? "an unknown address" : formatHostPort({ host: to.ip, port: to.port });
  return `${where} is not in ${places.map((place) => place.text).join(", ")}`;
}

/** Who asked for a target is for the rules that name it, and who asked for none for all others. */
function targetRefusal({ targets }: RuleMatch, target: SpliceRoute | undefined): string | undefined {
  if (target === undefined)
    return targets === undefined ? undefined : "it is for those who come for a target by its name";
  const { target: name, tags } = target;
  if (targets === undefined) return `the client came for the target "${name}", and the rule names none`;
  return targets.some((selector) => selects(selector, { name, tags }))
    ? undefined
    : `it does not list the target "${name}"`;
}

function keyConditionOf({ name, match }: Rule): KeyCondition | undefined {
  try {
    return KeyCondition.of(match);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new gatewayErrors.OPERATOR_RULE_INVALID(`${name}: match: ${reason}`, { cause });
  }
}

function whyMatched({ rule: { match }, key }: PreparedRule): string {
  const reasons: string[] = [];
  if (match.user !== undefined) reasons.push(`the name is "${match.user}"`);
  if (match.userPattern !== undefined) reasons.push(`the name matches ${match.userPattern.source}`);
  if (reasons.length === 0) reasons.push("it takes any name");
  if (match.from !== undefined) reasons.push("the address is in one of its networks");
  if (match.to !== undefined) reasons.push("the client connected to one of its addresses");
  if (match.notBeforeMs !== undefined || match.notAfterMs !== undefined) reasons.push("the time is right");
  if (key !== undefined) reasons.push(key.reason);
  return reasons.join(", ");
}

/** Why `host` may not be dialled; undefined if it may. Only what the client's name supplied is subject to `targets`. */
function refuseHost(
  template: Template,
  host: string,
  captures: Captures,
  targets: HostPatterns | undefined,
  tags: readonly string[],
): string | undefined {
  if (!isDialable(host)) return `"${host}" is no host name or address`;
  if (template.names.length === 0) return undefined;
  if (targets !== undefined)
    return targets.allow(host, tags) ? undefined : `"${host}" is not among the rule's targets`;
  // Without targets the fixed part of the template is what holds the host in place; a capture may fill in a label, not add one.
  const free = template.names.find((name) => !/^[A-Za-z0-9_-]+$/.test(captures[name] ?? ""));
  return free === undefined
    ? undefined
    : `{${free}} may not hold dots or colons unless the rule lists its targets`;
}

/** Throws OPERATOR_RULE_INVALID for a rule that can never work, or that lets the client name any host. */
export function checkRule(rule: Rule): void {
  const invalid = (detail: string): Error =>
    new gatewayErrors.OPERATOR_RULE_INVALID(`${rule.name}: ${detail}`);
  const { upstream: plan, match } = rule;
  if (match.user !== undefined && match.userPattern !== undefined) {
    throw invalid("give user or userPattern, not both");
  }
  if (rule.login.length === 0 || rule.login.some((step) => step.length === 0))
    throw invalid("no way to log in is listed");
  if (rule.serve !== undefined) checkServed(rule, invalid);
  else if (plan.addresses.length === 0 && match.targets === undefined)
    throw invalid("the upstream has no address");
  else if (plan.credentials.length === 0) throw invalid("the upstream has no credentials");
  const known = new Set([...capturesOf(match), ...(namesTarget(rule) ? ["target"] : [])]);
  const mounts = rule.sftp?.mounts ?? [];
  const places = [plan, ...mounts.map(({ upstream }) => upstream)].flatMap(({ addresses }) => addresses);
  const users = [plan, ...mounts.map(({ upstream }) => upstream)].map(({ user }) => user);
  const ats = mounts.map(({ at }) => at);
  for (const template of [...users, ...ats, ...places.flatMap(({ host, port }) => [host, port])]) {
    const unknown = template.names.find((name) => !known.has(name));
    if (unknown !== undefined) {
      throw invalid(`"${template.text}" uses {${unknown}}, but there are only ${[...known].join(", ")}`);
    }
  }
  const fixedPlaces = ats.filter(({ names }) => names.length === 0).map(({ text }) => text);
  const clash = mountClash(fixedPlaces);
  if (clash !== undefined) throw invalid(clash);
  for (const { host } of places) {
    const fixed = host.text.replace(/\{[^{}]*\}/g, "");
    if (host.names.length > 0 && rule.targets === undefined && !/[A-Za-z0-9]/.test(fixed)) {
      throw invalid(`"${host.text}" lets the client name any host: list the allowed ones in targets`);
    }
    if (host.names.length === 0 && !isDialable(host.text))
      throw invalid(`"${host.text}" is no host name or address`);
  }
  if (rule.serve !== undefined) return;
  const without = rule.login.every((step) => step.some((method) => !method.givesPassword));
  if (without && plan.credentials.every((credential) => credential.needsClientPassword)) {
    throw invalid(
      "who logs in without a password has none to send on: list a credential of another kind as well",
    );
  }
  checkRelay(rule, invalid);
  if (rule.login.filter((step) => step.some((method) => method.defers)).length > 1)
    throw invalid("the upstream can check one password in a login, not two");
  const needsPassword = rule.login.flat().some((method) => method.defers && method.relays !== true);
  if (needsPassword && !plan.credentials.some((credential) => credential.needsClientPassword)) {
    throw invalid("a password checked by the upstream needs the credential client-password");
  }
}

/** There is a target when its templates are filled in. */
function namesTarget({ serve, match }: Rule): boolean {
  return (serve !== undefined && serve.kind !== "files") || match.targets !== undefined;
}

/** Both halves, or none. */
function checkRelay({ login, upstream }: Rule, invalid: (detail: string) => Error): void {
  const asked = login.flat().some((method) => method.relays === true);
  const sent = upstream.credentials.some((credential) => credential.relays === true);
  if (asked && !sent)
    throw invalid("a login that is relayed needs the credential relay, which sends the client's answers on");
  if (sent && !asked)
    throw invalid(
      "the credential relay sends on what the client answers: it needs `login: [{ kind: relay }]`. A public key cannot be relayed, because its signature holds for one connection only: see docs/no-secret-on-the-gateway.md",
    );
}

/** Where the client's connection ends, there is no upstream to judge or to take its password. */
function checkServed({ upstream, login }: Rule, invalid: (detail: string) => Error): void {
  if (upstream.addresses.length > 0) throw invalid("what is served here has no upstream of its own");
  if (login.flat().some((method) => method.defers)) throw invalid("there is no upstream to check a password");
  if (upstream.credentials.some((credential) => credential.needsClientPassword))
    throw invalid("the client's password is not kept: list a credential of another kind");
}

/** Names that templates may use with these conditions. */
export function capturesOf({ userPattern, certificate, to }: RuleMatch): ReadonlySet<string> {
  const names = new Set(["user", "0", ...(to === undefined ? [] : ["to", "toPort"])]);
  for (let index = 1; index <= (userPattern?.groupCount ?? 0); index++) names.add(String(index));
  for (const name of [...(userPattern?.names ?? []), ...(certificate?.keyId?.names ?? [])]) names.add(name);
  return names;
}

/** Fisher and Yates. */
export function shuffle(items: HostPort[], random: () => number): void {
  for (let last = items.length - 1; last > 0; last--) {
    const pick = Math.floor(random() * (last + 1));
    const kept = items[last];
    const picked = items[pick];
    if (kept === undefined || picked === undefined) return;
    items[last] = picked;
    items[pick] = kept;
  }
}
