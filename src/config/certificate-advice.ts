import { X509Certificate } from "node:crypto";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";

type Main = Pick<MainFile, "listen" | "tls" | "signIn" | "devices">;

/** Names that browsers and programs will ask for, where no certificate of a file is for them. `read` gives the text of a file. */
export async function uncertified(
  main: Main,
  document: YamlDocument,
  read: (path: string) => Promise<string>,
): Promise<Problem[]> {
  const { listen, tls } = main;
  // Without any, it is an error already; an authority gives one for each name that is ours.
  if (tls.acme !== undefined || tls.certificates.length === 0) return [];
  if (!listen.some(({ entries }) => entries.includes("web"))) return [];
  const certificates: X509Certificate[] = [];
  try {
    for (const { certificate } of tls.certificates)
      certificates.push(new X509Certificate(await read(certificate)));
  } catch {
    // What cannot be read is told of where it is used.
    return [];
  }
  return [...namesOf(main)].flatMap(({ place, name, isDomain }) => {
    const isCovered = certificates.some(
      (each) =>
        each.checkHost(isDomain ? `a.${name}` : name) !== undefined ||
        // Whoever has one for each device knows what is meant.
        (isDomain && (each.subjectAltName ?? "").toLowerCase().includes(`.${name}`)),
    );
    const text = `no certificate of tls.certificates is for ${isDomain ? "*." : ""}${name}`;
    return isCovered ? [] : [document.problem(place, text, { severity: "warning" })];
  });
}

function* namesOf({ signIn, devices }: Main): Generator<{
  readonly place: readonly PropertyKey[];
  readonly name: string;
  readonly isDomain: boolean;
}> {
  if (signIn !== undefined && signIn.plain === "redirect")
    yield { place: ["signIn", "address"], name: new URL(signIn.address).hostname, isDomain: false };
  const { api, web } = devices ?? {};
  if (api !== undefined) yield { place: ["devices", "api", "host"], name: api.host, isDomain: false };
  if (web === undefined || web.plain !== "redirect") return;
  const { domain, paths } = web;
  if (domain !== undefined) yield { place: ["devices", "web", "domain"], name: domain, isDomain: true };
  if (paths !== undefined)
    yield { place: ["devices", "web", "paths", "host"], name: paths.host, isDomain: false };
}
