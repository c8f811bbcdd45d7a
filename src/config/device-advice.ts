import { formatEndpoint } from "#base";
import type { PlacedRule } from "./advice.ts";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";
import type { PlacedTarget } from "./target-advice.ts";

/** What is wrong about devices as the whole configuration has them. */
export function* checkDevices(
  { devices, listen, tls, signIn }: Pick<MainFile, "devices" | "listen" | "tls" | "signIn">,
  main: YamlDocument,
  named: { readonly targets: readonly PlacedTarget[]; readonly rules: readonly PlacedRule[] },
): Generator<Problem> {
  if (tls.acme !== undefined) {
    if (!listen.some(({ entries }) => entries.includes("tls") || entries.includes("web")))
      yield main.problem(["tls", "acme"], "has no effect: no listener takes tls or web", {
        severity: "warning",
      });
  }
  yield* checkWeb({ devices, listen, tls, signIn }, main, named.targets);
  const taken = new Set(listen.map(({ endpoint }) => formatEndpoint(endpoint)));
  for (const [at, { listen: own }] of (devices?.tcp ?? []).entries()) {
    const place = formatEndpoint(own);
    if (taken.has(place))
      yield main.problem(["devices", "tcp", at, "listen"], "something else is listened for there");
    taken.add(place);
  }
  if (devices !== undefined) return;
  const text = "needs a section `devices`: add `devices: {}`";
  for (const { target, document, at } of named.targets)
    if (target.devices === true) yield document.problem(["targets", at, "devices"], text);
  for (const { rule, document, at } of named.rules)
    if (rule.serve?.kind === "devices") yield document.problem(["rules", at, "serve"], text);
}

function pagesOf({ domain, paths }: NonNullable<NonNullable<MainFile["devices"]>["web"]>): string {
  return domain === undefined ? (paths?.host ?? "") : `*.${domain}`;
}

/** Whether programs can reach the authority, and nothing else is at its name. */
function* checkApi(
  { devices, tls }: Pick<MainFile, "devices" | "tls">,
  main: YamlDocument,
  isTaken: boolean,
): Generator<Problem> {
  if (devices?.api === undefined) return;
  const { host, tokens } = devices.api;
  const place = ["devices", "api"];
  const warning = { severity: "warning" } as const;
  if (!isTaken) yield main.problem(place, "has no effect: no listener takes web", warning);
  else if (tls.certificates.length === 0 && tls.acme === undefined)
    yield main.problem(place, `needs a certificate for ${host} in tls.certificates, or tls.acme`);
  if (tokens.length === 0)
    yield main.problem(place, "nobody can use it: postern device api-token makes a token", warning);
  if (devices.web?.domain !== undefined && host.endsWith(`.${devices.web.domain}`))
    yield main.problem(
      [...place, "host"],
      `a device could have that name: take one that is not in ${devices.web.domain}`,
    );
}

/** Whether devices' pages can be reached at all. */
function* checkWeb(
  { devices, listen, tls, signIn }: Pick<MainFile, "devices" | "listen" | "tls" | "signIn">,
  main: YamlDocument,
  targets: readonly PlacedTarget[],
): Generator<Problem> {
  const warning = { severity: "warning" } as const;
  const taking = listen.flatMap(({ entries }, at) => (entries.includes("web") ? [{ entries, at }] : []));
  yield* checkApi({ devices, tls }, main, taking.length > 0);
  if (devices?.web === undefined) {
    for (const { at } of devices?.api === undefined && signIn === undefined ? taking : [])
      yield main.problem(
        ["listen", at, "entries"],
        "takes web: add devices.web, with the domain of the pages, or devices.api, or signIn",
      );
    return;
  }
  const place = ["devices", "web"];
  if (taking.length === 0) yield main.problem(place, "has no effect: no listener takes web", warning);
  else if (tls.certificates.length === 0 && tls.acme === undefined && devices.web.plain === "redirect")
    yield main.problem(
      place,
      `needs a certificate for ${pagesOf(devices.web)} in tls.certificates, or tls.acme, or plain: serve behind a proxy that ends TLS`,
    );
  const others = [devices.api?.host, signIn === undefined ? undefined : new URL(signIn.address).hostname];
  const { domain, paths } = devices.web;
  if (paths !== undefined && others.includes(paths.host))
    yield main.problem(
      [...place, "paths", "host"],
      "is the host of signIn or devices.api: devices' pages could speak for it there",
    );
  if (paths !== undefined && domain !== undefined && paths.host.endsWith(`.${domain}`))
    yield main.problem(
      [...place, "paths", "host"],
      `a device could have that name: take one that is not in ${domain}`,
    );
  if (!targets.some(({ target }) => target.devices === true))
    yield main.problem(
      place,
      "nobody can log in to a page: add a target with devices: true, and a rule of mode: splice that names it",
      warning,
    );
  for (const { entries, at } of taking)
    if (
      devices.web.plain === "serve" &&
      ["http", "websocket", "host"].some((each) => entries.some((e) => e === each))
    )
      yield main.problem(
        ["listen", at, "entries"],
        "HTTP without TLS is taken by http, websocket and host there: give the pages a listener of their own",
      );
}
