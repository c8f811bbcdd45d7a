import type { PlacedRule } from "./advice.ts";
import type { Target } from "#contract";
import type { YamlDocument } from "./document.ts";
import type { SftpConfig } from "./mounts.ts";
import type { Problem } from "./problem.ts";
import { upstreamsOf } from "./rule.ts";
import { fixedAddresses, type SpliceRuleConfig, type TargetConfig } from "./target.ts";
import type { UpstreamConfig } from "./upstream.ts";

/** A target and where it stands: number `at` of the `targets` of a document. */
export interface PlacedTarget {
  readonly target: TargetConfig;
  readonly document: YamlDocument;
  readonly at: number;
}

/** The same for a splice rule. */
export interface PlacedSplice {
  readonly rule: Omit<SpliceRuleConfig, "place">;
  readonly document: YamlDocument;
  readonly at: number;
}

/** A rule that serves clients who ask for targets. */
export interface PlacedServe {
  readonly targets: readonly string[];
  readonly document: YamlDocument;
  /** Where the targets stand. */
  readonly path: readonly PropertyKey[];
}

/** Names that no pattern ought to take together: one is the gateway's own machine, the other anywhere. */
const anywhere = ["localhost", "www.example.com"];

/** What is wrong with targets and the rules that lead to them, and what is unwise. */
export function* checkTargets(
  targets: readonly PlacedTarget[],
  rules: readonly PlacedSplice[],
  serves: readonly PlacedServe[],
): Generator<Problem> {
  yield* twice(targets);
  for (const { target, document, at } of targets) {
    if (target.pattern === undefined || !anywhere.every((name) => target.pattern?.match(name) !== undefined))
      continue;
    const text = "takes any name, so clients may name any host that this machine can reach";
    yield document.problem(["targets", at, "pattern"], text, { severity: "warning" });
  }
  for (const placed of serves) yield* unknownTargets(targets, placed);
  for (const { rule, document, at } of rules) {
    yield* unknownTargets(targets, { targets: rule.targets, document, path: ["rules", at, "targets"] });
    const { from, clientCertificate } = rule.match;
    if (from !== undefined || clientCertificate !== undefined || rule.login !== undefined) continue;
    // Who comes by a jump has logged in.
    if (rule.match.entries?.every((entry) => entry === "jump") === true) continue;
    const text =
      "splices for everybody: nothing says who may (match.from, match.clientCertificate or login), so its targets are open to all who reach this gateway";
    yield document.problem(["rules", at], text, { severity: "warning" });
  }
}

function* unknownTargets(
  targets: readonly PlacedTarget[],
  { targets: selectors, document, path }: PlacedServe,
): Generator<Problem> {
  for (const [number, selector] of selectors.entries()) {
    if (targets.some(({ target }) => selects(selector, target))) continue;
    // Devices bring names and tags of their own.
    if (/^(?:tag:)?[\w.-]+$/.test(selector) && targets.some(({ target }) => target.devices === true))
      continue;
    const text = `there is no target ${selector.startsWith("tag:") ? "with the tag" : "called"} "${selector.replace(/^tag:/, "")}"`;
    yield document.problem([...path, number], text);
  }
}

/** Rules whose upstream is a target. */
export function* checkUpstreamTargets(
  targets: readonly PlacedTarget[],
  rules: readonly PlacedRule[],
): Generator<Problem> {
  for (const { rule, document, at } of rules) {
    for (const { upstream, path } of upstreamsOf(rule)) {
      const text = faultInTarget(upstream, targets);
      if (text !== undefined) yield document.problem(["rules", at, ...path, "target"], text);
    }
  }
}

function faultInTarget(
  { target: name, addresses }: UpstreamConfig,
  targets: readonly PlacedTarget[],
): string | undefined {
  if (name === undefined) return undefined;
  const found = targets.find(({ target }) => target.name === name)?.target;
  const placed = addresses.length > 0;
  if (found === undefined) return `there is no target called "${name}"`;
  if (found.devices === true && !placed) return `"${name}" stands for devices: say which one in host`;
  if (found.devices !== true && placed) return "give target, or host and port, or addresses";
  if (fixedAddresses(found.addresses).length < found.addresses.length)
    return `the addresses of "${name}" come from the name that a client says; here there is none`;
  return undefined;
}

/** The upstream of a rule with the addresses of its target, if it has one. */
export function placedUpstream(upstream: UpstreamConfig, targets: readonly PlacedTarget[]): UpstreamConfig {
  const found = targets.find(({ target }) => target.name === upstream.target)?.target;
  if (upstream.target === undefined || found === undefined) return upstream;
  const addresses = found.devices === true ? upstream.addresses : found.addresses;
  return { ...upstream, addresses, connectTimeoutMs: found.connectTimeoutMs };
}

/** The files of a rule, its mounts with the addresses of their targets. */
export function placedMounts(sftp: SftpConfig, targets: readonly PlacedTarget[]): SftpConfig {
  const { mounts } = sftp;
  if (mounts === undefined) return sftp;
  return {
    ...sftp,
    mounts: mounts.map((mount) => ({ ...mount, upstream: placedUpstream(mount.upstream, targets) })),
  };
}

function* twice(targets: readonly PlacedTarget[]): Generator<Problem> {
  const seen = new Map<string, string>();
  for (const { target, document, at } of targets) {
    for (const name of new Set([target.name, ...target.names].map((each) => each.toLowerCase()))) {
      const earlier = seen.get(name);
      if (earlier === undefined) seen.set(name, `${document.file}:${document.line(["targets", at])}`);
      else yield document.problem(["targets", at], `"${name}" is a name of the target at ${earlier} too`);
    }
  }
}

function selects(selector: string, { name, tags }: Target): boolean {
  return (
    selector === "*" || selector === name || (selector.startsWith("tag:") && tags.includes(selector.slice(4)))
  );
}
