import { formatEndpoint } from "#base";
import type { PlacedRule } from "./advice.ts";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";
import type { PlacedTarget } from "./target-advice.ts";

/** What is wrong about devices as the whole configuration has them. */
export function* checkDevices(
  { devices, workers, listen, tls }: Pick<MainFile, "devices" | "workers" | "listen" | "tls">,
  main: YamlDocument,
  named: { readonly targets: readonly PlacedTarget[]; readonly rules: readonly PlacedRule[] },
): Generator<Problem> {
  yield* checkWeb({ devices, listen, tls }, main, named.targets);
  const taken = new Set(listen.map(({ endpoint }) => formatEndpoint(endpoint)));
  for (const [at, { listen: own }] of (devices?.tcp ?? []).entries()) {
    const place = formatEndpoint(own);
    if (taken.has(place))
      yield main.problem(["devices", "tcp", at, "listen"], "something else is listened for there");
    taken.add(place);
  }
  if (devices !== undefined) {
    if (workers > 1)
      yield main.problem(
        ["workers"],
        "must be 1 where there are devices: a tunnel lives in one process, and the others would not find it",
      );
    return;
  }
  const text = "needs a section `devices`: add `devices: {}`";
  for (const { target, document, at } of named.targets)
    if (target.devices === true) yield document.problem(["targets", at, "devices"], text);
  for (const { rule, document, at } of named.rules)
    if (rule.serve?.kind === "devices") yield document.problem(["rules", at, "serve"], text);
}

/** Whether devices' pages can be reached at all. */
function* checkWeb(
  { devices, listen, tls }: Pick<MainFile, "devices" | "listen" | "tls">,
  main: YamlDocument,
  targets: readonly PlacedTarget[],
): Generator<Problem> {
  const warning = { severity: "warning" } as const;
  const taking = listen.flatMap(({ entries }, at) => (entries.includes("web") ? [{ entries, at }] : []));
  if (devices?.web === undefined) {
    for (const { at } of taking)
      yield main.problem(
        ["listen", at, "entries"],
        "takes web: add devices.web, with the domain of the pages",
      );
    return;
  }
  const place = ["devices", "web"];
  if (taking.length === 0) yield main.problem(place, "has no effect: no listener takes web", warning);
  else if (tls.certificates.length === 0 && devices.web.plain === "redirect")
    yield main.problem(
      place,
      `needs a certificate for *.${devices.web.domain} in tls.certificates, or plain: serve behind a proxy that ends TLS`,
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
