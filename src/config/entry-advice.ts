import type { EntryName, NameEntry } from "#contract";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";
import type { PlacedSplice, PlacedTarget } from "./target-advice.ts";

/** Those that can carry a name and a password. */
const carriesLogin = (entry: EntryName | NameEntry): boolean => ["http", "websocket", "web"].includes(entry);

/** Whether the ways in that rules and targets count on are there. */
export function* checkEntries(
  { listen, tls }: Pick<MainFile, "listen" | "tls">,
  main: YamlDocument,
  { targets, rules }: { readonly targets: readonly PlacedTarget[]; readonly rules: readonly PlacedSplice[] },
): Generator<Problem> {
  const warning = { severity: "warning" } as const;
  const open = new Set<EntryName>(listen.flatMap(({ entries }) => entries));
  const nobody = "asks for a certificate, but there are no tls.clientAuthorities to vouch for one";
  for (const [at, { clientCertificate }] of listen.entries())
    if (clientCertificate === "required" && tls.clientAuthorities === undefined)
      yield main.problem(["listen", at, "clientCertificate"], nobody);
  for (const { rule, document, at } of rules) {
    const { match, login } = rule;
    if (match.clientCertificate !== undefined && tls.clientAuthorities === undefined)
      yield document.problem(["rules", at, "match", "clientCertificate"], nobody);
    const carries = match.entries?.some(carriesLogin) ?? true;
    if (login !== undefined && !carries) {
      const text = "asks for a name and a password, which only the entries http, websocket and web can carry";
      yield document.problem(["rules", at, "match", "entries"], text);
    } else if (login !== undefined && ![...open].some(carriesLogin)) {
      const text =
        "never holds: no listener takes http, websocket or web, which alone can carry a name and a password";
      yield document.problem(["rules", at, "login"], text, warning);
    }
  }
  for (const { target, document, at } of targets) {
    if (target.at !== undefined && !open.has("address"))
      yield document.problem(["targets", at, "at"], "has no effect: no listener takes address", warning);
    if (target.http === true && !open.has("host"))
      yield document.problem(["targets", at, "http"], "has no effect: no listener takes host", warning);
  }
}
