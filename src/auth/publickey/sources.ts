import { hash } from "node:crypto";
import { type Captures, PosternError, Recent, type Template } from "#base";
import type { AuthContext, AuthPorts } from "#contract";
import { type AuthorizedKey, parseAuthorizedKeys } from "#ssh/keys";
import { referredUser, type UsersReference } from "../users/index.ts";
import { publicKeyErrors } from "./errors.ts";
import { fetchKeys, type FetchOptions } from "./fetch.ts";
import type { KeyCache } from "./key-cache.ts";

/** Room for thousands of keys; a larger file is a mistake, and each login would read it. */
const maxFileBytes = 1024 * 1024;

/** Room for hundreds: it comes over a connection to the upstream. */
const maxUpstreamFileBytes = 256 * 1024;

/** A client may ask about dozens of keys before it logs in: a file that has not changed is not parsed for each. */
const parsedFiles = new Recent<string, readonly AuthorizedKey[]>(64);

/** Parsing the keys of a user, at each question, would tell who has some. */
const parsedLines = new Recent<string, readonly AuthorizedKey[]>(1024);

export function listedKey(line: string): AuthorizedKey {
  let reason = "it is empty, or a comment";
  const [parsed] = parseAuthorizedKeys(line, "configuration", (warning) => {
    ({ reason } = warning);
  });
  if (parsed === undefined) throw new publicKeyErrors.OPERATOR_AUTHORIZED_KEY_INVALID(reason);
  return parsed;
}

/** Keys of a file on this machine. */
export async function keysOfFile(
  template: Template,
  captures: Captures,
  ports: AuthPorts,
): Promise<readonly AuthorizedKey[]> {
  const path = isSafe(template, captures) ? template.expand(captures) : undefined;
  if (path === undefined) return [];
  try {
    const read = await ports.files.read(path, maxFileBytes);
    if (read === undefined) return [];
    if ((read.mode & 0o002) !== 0) {
      ports.log.warn("authorized-keys-ignored", { file: path, reason: "everybody may write to it" });
      return [];
    }
    return parsed(read.bytes, path, ports);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    ports.log.error("authorized-keys-ignored", { file: path, error });
    return [];
  }
}

/** Keys of one of the users whom the operator has listed. */
export async function keysOfUser(
  reference: UsersReference,
  context: AuthContext,
  { users, log }: AuthPorts,
): Promise<readonly AuthorizedKey[]> {
  const { name, user } = await referredUser(reference, users, context);
  return (user?.keys ?? []).flatMap((line) =>
    parsedLines.of(`${name} ${line}`, () =>
      parseAuthorizedKeys(line, `keys of ${name}`, ({ reason }) =>
        log.warn("authorized-keys-line-ignored", { user: name, reason }),
      ),
    ),
  );
}

/** Keys of an address. */
export async function keysOfUrl(
  template: Template,
  captures: Captures,
  cache: KeyCache,
  options: FetchOptions,
  ports: AuthPorts,
): Promise<readonly AuthorizedKey[]> {
  if (!isSafe(template, captures)) return [];
  const encoded = template.names.map((name) => [name, encodeURIComponent(captures[name] ?? "")]);
  const address = template.expand(Object.fromEntries(encoded));
  if (address === undefined) return [];
  return await cache.of(address, async () => {
    const body = await fetchKeys(address, options);
    return body === undefined ? [] : parsed(body, address, ports);
  });
}

/** Keys of a file on the upstream. */
export async function keysOfUpstream(
  template: Template,
  { captures, upstreamFiles }: AuthContext,
  cache: KeyCache,
  ports: AuthPorts,
): Promise<readonly AuthorizedKey[]> {
  const path = isSafe(template, captures) ? template.expand(captures) : undefined;
  if (path === undefined || upstreamFiles === undefined) return [];
  const { place } = upstreamFiles;
  return await cache.of(`${place} ${path}`, async () => {
    const body = await upstreamFiles.read(path, maxUpstreamFileBytes);
    return body === undefined ? [] : parsed(body, `${place}:${path}`, ports);
  });
}

/** A name that comes from the client fills in one part of a path, and can lead nowhere else. */
function isSafe({ names }: Template, captures: Captures): boolean {
  return names.every((name) => /^(?!\.{0,2}$)[^/\\\0\u{d800}-\u{dfff}]+$/u.test(captures[name] ?? ""));
}

function parsed(bytes: Uint8Array, place: string, { log }: AuthPorts): readonly AuthorizedKey[] {
  return parsedFiles.of(`${hash("sha256", bytes)} ${place}`, () =>
    parseAuthorizedKeys(Buffer.from(bytes).toString("utf8"), place, (warning) =>
      log.warn("authorized-keys-line-ignored", { ...warning }),
    ),
  );
}
