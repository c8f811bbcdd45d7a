import type { PeerCertificate } from "node:tls";

/** Kinds of names, as OpenSSL writes them and as rules do. */
const kinds: Readonly<Record<string, string>> = {
  DNS: "DNS",
  email: "email",
  URI: "URI",
  "IP Address": "IP",
};

/** Names in a client's certificate: `CN:ada`, `DNS:laptop.example.com`, `email:…`, `URI:…`, `IP:…`. None if they cannot be read. */
export function certificateNames({
  subject,
  subjectaltname,
}: Pick<PeerCertificate, "subject" | "subjectaltname">): string[] {
  // A certificate without a subject has none of the fields that its type promises.
  const { CN } = (subject ?? {}) as { readonly CN?: string | readonly string[] };
  const common = CN === undefined ? [] : [CN].flat();
  const others = alternativeNames(subjectaltname ?? "");
  return others === undefined ? [] : [...common.map((name) => `CN:${name}`), ...others];
}

/** Node's text of subjectAltName, where a name with letters of the text's own syntax is a JSON string. Undefined: it cannot be read. */
export function alternativeNames(text: string): string[] | undefined {
  const names: string[] = [];
  const one = /(?:^|, )([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?=$|, )/y;
  while (one.lastIndex < text.length) {
    const [, kind = "", quoted, plain = ""] = one.exec(text) ?? [];
    if (one.lastIndex === 0) return undefined;
    const prefix = kinds[kind];
    if (prefix === undefined) continue;
    let name = plain;
    if (quoted !== undefined) {
      try {
        name = String(JSON.parse(quoted));
      } catch {
        return undefined;
      }
    }
    names.push(`${prefix}:${name}`);
  }
  return names;
}
