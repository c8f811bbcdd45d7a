import type { PlacedRule } from "./advice.ts";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";
import type { PlacedSplice } from "./target-advice.ts";

const warning = { severity: "warning" } as const;

/** As auth/oidc has it where nothing is said. */
const defaultWaitSeconds = 100;

/** What is wrong about sign-ins as the whole configuration has them. */
export function* checkSignIn(
  main: Pick<MainFile, "signIn" | "listen" | "tls" | "devices" | "limits">,
  document: YamlDocument,
  named: { readonly rules: readonly PlacedRule[]; readonly splices: readonly PlacedSplice[] },
): Generator<Problem> {
  const { signIn, limits } = main;
  if (signIn !== undefined) yield* checkPages({ ...main, signIn }, document);
  for (const { rule, document: holder, at } of named.rules)
    for (const [number, login] of rule.login.entries()) {
      if (login.kind !== "oidc") continue;
      const place = ["rules", at, "login", number];
      const { flow, waitSeconds = defaultWaitSeconds } = login;
      if (flow === "browser" && signIn === undefined)
        yield holder.problem([...place, "flow"], "needs an address for browsers: add signIn");
      if (waitSeconds > limits.loginGraceSeconds) {
        const text = `is ${waitSeconds}s, but limits.loginGraceSeconds ends the login after ${limits.loginGraceSeconds}s`;
        yield holder.problem([...place, "waitSeconds"], text, warning);
      }
    }
  for (const { rule, document: holder, at } of named.splices)
    for (const [number, login] of (rule.login ?? []).entries()) {
      if (login.kind !== "oidc") continue;
      const place = ["rules", at, "login", number];
      if (signIn === undefined) yield holder.problem(place, "needs an address for browsers: add signIn");
      if (rule.match.entries?.includes("web") === false)
        yield holder.problem(
          place,
          "can be done by the entry web alone, which the rule does not take",
          warning,
        );
    }
}

function* checkPages(
  {
    signIn,
    listen,
    tls,
    devices,
  }: Pick<MainFile, "listen" | "tls" | "devices"> & Required<Pick<MainFile, "signIn">>,
  document: YamlDocument,
): Generator<Problem> {
  if (signIn === undefined) return;
  const place = ["signIn"];
  const { hostname } = new URL(signIn.address);
  if (!listen.some(({ entries }) => entries.includes("web")))
    yield document.problem(place, "cannot be reached: no listener takes web");
  else if (tls.certificates.length === 0 && tls.acme === undefined && signIn.plain === "redirect")
    yield document.problem(
      place,
      `needs a certificate for ${hostname} in tls.certificates, or tls.acme, or plain: serve behind a proxy that ends TLS`,
    );
  const domain = devices?.web?.domain;
  if (domain !== undefined && (hostname === domain || hostname.endsWith(`.${domain}`)))
    yield document.problem(
      [...place, "address"],
      `must not be within ${domain}: that belongs to the devices, which may be in bad hands`,
    );
}
