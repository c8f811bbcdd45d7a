import type { PeerAddress } from "#contract";

/** Names and values, in their order. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** Of one connection alone (RFC 9110, section 7.6.1): what stands there was said to us. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
  "http2-settings",
]);

/** From node's flat list. Fields that HTTP/2 has for itself are left out, and its pieces of `Cookie` are one again (RFC 9113, 8.2.3). */
export function fieldsOf(raw: readonly string[]): Fields {
  const fields: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = "", value = ""] = [raw[at], raw[at + 1]];
    if (name.startsWith(":")) continue;
    const cookie = name.toLowerCase() === "cookie" ? fields.find(([each]) => isCookie(each)) : undefined;
    if (cookie === undefined) fields.push([name, value]);
    else cookie[1] += `; ${value}`;
  }
  return fields;
}

const isCookie = (name: string): boolean => name.toLowerCase() === "cookie";

/** All values of a name. */
export function valuesOf(fields: Fields, name: string): string[] {
  return fields.flatMap(([each, value]) => (each.toLowerCase() === name ? [value] : []));
}

/** The only value of a name; undefined when there is none, or several. */
export function valueOf(fields: Fields, name: string): string | undefined {
  const [value, ...more] = valuesOf(fields, name);
  return more.length === 0 ? value : undefined;
}

/** Without what is of one connection: the fields for that, and those that `Connection` names. */
export function endToEnd(fields: Fields): Fields {
  const named = new Set(
    valuesOf(fields, "connection").flatMap((value) =>
      value.split(",").map((each) => each.trim().toLowerCase()),
    ),
  );
  // A body whose length is not told any more would be read as the next request.
  named.delete("content-length");
  return fields.filter(([name]) => {
    const plain = name.toLowerCase();
    return !hopByHop.has(plain) && !named.has(plain);
  });
}

/** What a device may believe, because only we say it. Servers that hand fields on as variables make one sign of `-`, `_` and others. */
export function isTold(name: string): boolean {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "-");
  return plain === "forwarded" || plain === "x-real-ip" || plain.startsWith("x-forwarded-");
}

export interface Told {
  readonly from: PeerAddress;
  /** As the browser said it. */
  readonly host: string;
  /** As the device is to read it. */
  readonly hostForDevice: string;
  readonly secure: boolean;
  /** Who has logged in. */
  readonly user?: string;
  /** The path at which the device's page begins, if that is not `/`. */
  readonly prefix?: string;
}

/** The fields of a request as the device gets them. */
export function requestFields(
  fields: Fields,
  { from, host, hostForDevice, secure, user, prefix }: Told,
): Fields {
  const proto = secure ? "https" : "http";
  const { ip } = from;
  const node = ip === undefined ? "unknown" : ip.includes(":") ? `"[${ip}]"` : ip;
  return [
    ["Host", hostForDevice],
    ...endToEnd(fields).filter(([name]) => !isTold(name) && name.toLowerCase() !== "host"),
    ...(ip === undefined ? [] : ([["X-Forwarded-For", ip]] as const)),
    ["X-Forwarded-Proto", proto],
    ["X-Forwarded-Host", host],
    ...(prefix === undefined ? [] : ([["X-Forwarded-Prefix", prefix]] as const)),
    // A name may hold what a header may not.
    ...(user === undefined ? [] : ([["X-Forwarded-User", encodeURIComponent(user)]] as const)),
    ["Forwarded", `for=${node};host="${host}";proto=${proto}`],
  ];
}

/** A Cookie field without the cookies whose names begin so. Undefined: nothing is left. */
export function withoutCookies(value: string, prefix: string): string | undefined {
  const rest = value.split(";").filter((each) => each.split("=", 1)[0]?.trim().startsWith(prefix) !== true);
  const text = rest.join(";").trim();
  return text === "" ? undefined : text;
}

/** Values of the cookies of one name. */
export function cookiesOf(fields: Fields, name: string): string[] {
  return valuesOf(fields, "cookie").flatMap((value) =>
    value.split(";").flatMap((each) => {
      const [said = "", ...rest] = each.split("=");
      return said.trim() === name ? [rest.join("=").trim()] : [];
    }),
  );
}

/** Whether a cookie's name begins so. One without a name is sent back as its value alone, which would read like one with that name. */
export function isCalled(pair: string, beginning: string): boolean {
  return pair
    .replace(/^[\s=]+/, "")
    .toLowerCase()
    .startsWith(beginning.toLowerCase());
}

/**
 * A device's cookies are its own: they may not be told to its siblings (`Domain`), and may not be called as ours are. Undefined: it is not
 * passed on.
 */
export function deviceCookie(value: string, ours: string): string | undefined {
  const [pair = "", ...attributes] = value.split(";");
  if (isCalled(pair, ours)) return undefined;
  const kept = attributes.filter((each) => each.split("=", 1)[0]?.trim().toLowerCase() !== "domain");
  return [pair, ...kept].join(";");
}

/** The fields of an answer as the browser gets them. */
export function answerFields(fields: Fields, ourCookie: string): Fields {
  return endToEnd(fields).flatMap(([name, value]) => {
    if (name.toLowerCase() !== "set-cookie") return [[name, value] as const];
    const kept = deviceCookie(value, ourCookie);
    return kept === undefined ? [] : [[name, kept] as const];
  });
}
