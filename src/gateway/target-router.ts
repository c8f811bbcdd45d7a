import { type Captures, type HostPort, normalAddress } from "#base";
import type {
  Device,
  ListedTarget,
  SpliceRoute,
  SpliceRule,
  Target,
  TargetQuery,
  Tunnels,
  WantedProof,
} from "#contract";
import { gatewayErrors } from "./errors.ts";
import { isDialable } from "./host-pattern.ts";
import { fillAddresses, type RuleExplanation } from "./router.ts";
import { mayMean, selects } from "./target-selector.ts";
import { refusalOf, wantedBy } from "./splice-match.ts";

/** As long as a name in DNS can be (RFC 1035, section 2.3.4); a longer one matches nothing. */
export const maxTargetNameChars = 253;

/** What a client says for the port where it has nothing to say: `ssh -J` and `nc -x` always send one. */
const sshPort = 22;

export interface TargetExplanation {
  /** Absent: no target goes by that name. */
  readonly target?: string;
  readonly rules: readonly RuleExplanation[];
  readonly route?: SpliceRoute;
}

interface Listed {
  readonly target: Target;
  readonly listed: Target & { readonly online?: boolean };
}

interface Found {
  readonly target: Target;
  readonly captures: Captures;
}

type Unbranded = Omit<SpliceRoute, symbol>;

/** What is asked of the live tunnels here. */
export type KnownDevices = Pick<Tunnels, "known" | "all">;

/**
 * The one place where a name that came in by any entry becomes a target. Nothing is allowed but what a rule allows; and who is
 * refused cannot tell a name that does not exist from one that is not for them.
 */
export class TargetRouter {
  readonly #targets: readonly Target[];
  readonly #byName = new Map<string, Target>();
  readonly #rules: readonly SpliceRule[];
  readonly #tunnels: KnownDevices | undefined;

  /** `tunnels`: which devices there are. Throws OPERATOR_RULE_INVALID. */
  constructor(targets: readonly Target[], rules: readonly SpliceRule[], tunnels?: KnownDevices) {
    this.#targets = targets;
    this.#tunnels = tunnels;
    this.#rules = rules;
    for (const target of targets) {
      for (const name of namesOf(target)) {
        if (this.#byName.has(name)) throw invalid(`two targets are called ${name}`);
        this.#byName.set(name, target);
      }
    }
    for (const rule of rules) {
      const unknown = rule.targets.find((selector) => !targets.some((target) => mayMean(selector, target)));
      if (unknown !== undefined) throw invalid(`${rule.name}: there is no target for "${unknown}"`);
    }
  }

  /** Undefined: refused, for whatever reason. */
  route(query: TargetQuery): SpliceRoute | undefined {
    const found = this.#find(query);
    if (found === undefined) return undefined;
    for (const rule of this.#rules) {
      if (refusalFor(rule, found.target, query) !== undefined) continue;
      return this.#resolve(rule, found, query);
    }
    return undefined;
  }

  /** What a client that was refused could show to be asked again. Depends on nothing of the target that it asked for. */
  wants(query: TargetQuery): readonly WantedProof[] {
    return [...new Set(this.#rules.flatMap((rule) => wantedBy(rule, query) ?? []))];
  }

  get rules(): readonly SpliceRule[] {
    return this.#rules;
  }

  /** The rule by which a device's web page may be seen. Only rules that ask for a proof count: a page is no more public than its approval. */
  webRule(device: Pick<Device, "name" | "tags">, query: TargetQuery): SpliceRule | undefined {
    const fleets = this.#fleetsOf(device);
    return this.#rules.find((rule) => webRefusal(rule, fleets, query) === undefined);
  }

  /** The same decision, with a reason for each rule. */
  explainWeb(device: Pick<Device, "name" | "tags">, query: TargetQuery): TargetExplanation {
    const fleets = this.#fleetsOf(device);
    if (fleets.length === 0) return { rules: [] };
    const explained = explainRules(
      this.#rules,
      (rule) => webRefusal(rule, fleets, query),
      () => ({ outcome: "matched", reason: `it lists the device "${device.name}"` }),
    );
    return { target: device.name, rules: explained };
  }

  #fleetsOf(device: Pick<Device, "name" | "tags">): Target[] {
    return this.#targets
      .filter(({ devices }) => devices === true)
      .map((target) => deviceTarget(target, device));
  }

  /** For who has been let in by name already: the targets of that one rule. */
  routeWithin(rule: Pick<SpliceRule, "name" | "targets">, query: TargetQuery): SpliceRoute | undefined {
    const found = this.#find(query);
    if (found === undefined || !rule.targets.some((selector) => selects(selector, found.target)))
      return undefined;
    return this.#resolve(rule, found, query);
  }

  /** What `routeWithin` leads to, in the order of the configuration. */
  listWithin({ targets: selectors }: Pick<SpliceRule, "targets">): ListedTarget[] {
    return this.#targets.flatMap((target) => {
      const listed: Listed[] =
        target.devices === true ? this.#devicesOf(target) : [{ target, listed: target }];
      return listed
        .filter((one) => selectors.some((selector) => selects(selector, one.target)))
        .map(({ listed: { name, names, tags, pattern, online } }) => ({
          name,
          names,
          tags,
          ...(pattern === undefined ? {} : { pattern: pattern.source }),
          ...(online === undefined ? {} : { online }),
        }));
    });
  }

  /** Each device as a target of its own. */
  #devicesOf(target: Target): Listed[] {
    const all = this.#tunnels?.all() ?? [];
    return all.map(({ device, online }) => {
      const one = deviceTarget(target, device);
      return { target: one, listed: { ...one, name: device.name, names: [], online } };
    });
  }

  /** The same decision as `route`, with a reason for each rule. */
  explain(query: TargetQuery): TargetExplanation {
    const found = this.#find(query);
    if (found === undefined) return { rules: [] };
    let route: SpliceRoute | undefined;
    const rules = explainRules(
      this.#rules,
      (rule) => refusalFor(rule, found.target, query),
      (rule) => {
        route = this.#resolve(rule, found, query);
        return route === undefined
          ? {
              outcome: "refused",
              reason: "the port, or what the name's captures make of the address, is not to be had",
            }
          : { outcome: "matched", reason: `it lists the target "${found.target.name}"` };
      },
    );
    return { target: found.target.name, rules, ...(route === undefined ? {} : { route }) };
  }

  #find({ name: said, entry, port }: TargetQuery): Found | undefined {
    const name = plainName(said);
    if (name === undefined) return undefined;
    if (entry === "address") return this.#findAt(name, port ?? 0);
    const exact = this.#byName.get(name);
    if (exact !== undefined) return { target: exact, captures: { 0: name } };
    for (const target of this.#targets) {
      if (target.devices === true) {
        const there = this.#device(target, name);
        if (there !== undefined) return there;
      }
      const captures = target.pattern?.match(name);
      if (captures !== undefined) return { target, captures };
    }
    if (this.#tunnels !== undefined) return undefined;
    // Nobody knows which devices there are, where a configuration is only explained: it may be any.
    const fleet = this.#targets.find(({ devices }) => devices === true);
    return fleet === undefined ? undefined : { target: fleet, captures: { 0: name } };
  }

  #device(target: Target, name: string): Found | undefined {
    const device = this.#tunnels?.known(name);
    return device === undefined
      ? undefined
      : { target: deviceTarget(target, device), captures: { 0: device.name } };
  }

  /** The first target that stands at an address. Its pattern, if it has one, is over the address. */
  #findAt(address: string, port: number): Found | undefined {
    const ip = normalAddress(address);
    for (const target of this.#targets) {
      if (target.at?.some((place) => place.contains({ ip, port })) !== true) continue;
      const captures = target.pattern === undefined ? { 0: ip } : target.pattern.match(ip);
      if (captures !== undefined) return { target, captures: { ...captures, to: ip, toPort: String(port) } };
    }
    return undefined;
  }

  #resolve(
    rule: Pick<SpliceRule, "name" | "login">,
    { target, captures }: Found,
    { entry, port, proven }: TargetQuery,
  ): SpliceRoute | undefined {
    const addresses =
      target.devices === true
        ? [{ host: captures[0] ?? "", port: port ?? sshPort }]
        : fillAddresses(target.addresses, captures);
    if (typeof addresses === "string" || addresses.some(({ host }) => !isDialable(host))) return undefined;
    const itself = target.terminate === true && addresses.length === 0;
    // The port that was connected to is the gateway's own.
    if (
      !itself &&
      entry !== "address" &&
      port !== undefined &&
      port !== sshPort &&
      !addresses.some((each) => each.port === port)
    )
      return undefined;
    const route: Unbranded = {
      mode: target.terminate === true ? "terminate" : "splice",
      rule: rule.name,
      target: target.name,
      tags: target.tags,
      addresses: addresses satisfies HostPort[],
      captures,
      connectTimeoutMs: target.connectTimeoutMs,
      tls: target.tls,
      http: target.http === true,
      ...(rule.login === undefined || proven === undefined ? {} : { user: proven.user }),
    };
    return route as SpliceRoute;
  }
}

/** One device, by the words for all of them, by its own name and by its own tags. */
function deviceTarget(target: Target, { name, tags }: Pick<Device, "name" | "tags">): Target {
  return { ...target, names: [name], tags: [...target.tags, ...tags] };
}

/** The name as it is looked up: in lower case, without the dot at its end; undefined for what can be no name. */
export function plainName(said: string): string | undefined {
  const name = said.toLowerCase().replace(/\.$/, "");
  return name === "" || name.length > maxTargetNameChars || !/^[a-z0-9._:-]+$/.test(name) ? undefined : name;
}

/** What becomes of each rule: from top to bottom, the first that is not refused decides. */
function explainRules(
  rules: readonly SpliceRule[],
  refusal: (rule: SpliceRule) => string | undefined,
  decide: (rule: SpliceRule) => Pick<RuleExplanation, "outcome" | "reason">,
): RuleExplanation[] {
  let decided = false;
  return rules.map((rule) => {
    const { name } = rule;
    if (decided) return { rule: name, outcome: "not-reached", reason: "a rule above it matched" };
    const reason = refusal(rule);
    if (reason !== undefined) return { rule: name, outcome: "skipped", reason };
    decided = true;
    return { rule: name, ...decide(rule) };
  });
}

/** Why a rule does not show the pages of a device, which is what `fleets` are; undefined if it does. */
function webRefusal(rule: SpliceRule, fleets: readonly Target[], query: TargetQuery): string | undefined {
  if (rule.login === undefined && rule.match.clientCertificate === undefined)
    return "it asks for no proof, and pages are for those who give one";
  if (!fleets.some((fleet) => rule.targets.some((selector) => selects(selector, fleet))))
    return "it lists neither the device nor one of its tags";
  return refusalOf(rule, query);
}

/** Why a rule does not hold for a target; undefined if it does. */
function refusalFor(rule: SpliceRule, target: Target, query: TargetQuery): string | undefined {
  if (!rule.targets.some((selector) => selects(selector, target)))
    return `it does not list the target "${target.name}"`;
  if (query.entry === "host" && target.http !== true)
    return `the target "${target.name}" does not speak HTTP`;
  return refusalOf(rule, query);
}

/** A target with a pattern has no name of its own but those that are listed. */
function namesOf({ name, names, pattern }: Target): string[] {
  const own = pattern === undefined ? [name, ...names] : names;
  return [...new Set(own.map((each) => plainName(each) ?? each))];
}

function invalid(detail: string): Error {
  return new gatewayErrors.OPERATOR_RULE_INVALID(detail);
}
