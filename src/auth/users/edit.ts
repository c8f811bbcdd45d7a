import type { TotpSecret } from "#contract";
import { type Document, isMap, parseDocument, YAMLMap } from "yaml";
import { base32 } from "../totp/code.ts";
import { usersErrors } from "./errors.ts";
import { personName } from "./schema.ts";

export interface NewUser {
  readonly passwords?: readonly string[];
  readonly keys?: readonly string[];
  readonly groups?: readonly string[];
}

export type UserChange =
  | { readonly kind: "add"; readonly user: NewUser }
  | { readonly kind: "passwords"; readonly hashes: readonly string[] }
  /** `replace`: also where there is a secret already. */
  | { readonly kind: "totp"; readonly totp: TotpSecret; readonly replace: boolean }
  | { readonly kind: "remove" };

/**
 * The text of a file of users with one of them changed; comments and all else stay as they are. Throws
 * OPERATOR_USERS_FILE_INVALID, and OPERATOR_USER_CHANGE_REFUSED where the user is not as the change expects.
 */
export function changeUser(text: string, name: string, change: UserChange): string {
  const refuse = (detail: string): Error => new usersErrors.OPERATOR_USER_CHANGE_REFUSED(detail);
  const issue = personName.safeParse(name).error?.issues[0];
  if (issue !== undefined) throw refuse(`"${name}" is no name for a user: ${issue.message}`);
  const document = parse(text);
  const people = peopleOf(document);
  const known = people.has(name);
  switch (change.kind) {
    case "add":
      if (known) throw refuse(`"${name}" is in the file already`);
      people.set(name, document.createNode(withoutEmpty(change.user)));
      break;
    case "passwords":
      if (!known) throw refuse(`"${name}" is not in the file: add them with \`postern user add\``);
      fieldsOf(document, people, name).set("passwords", document.createNode(change.hashes));
      break;
    case "totp": {
      const fields = fieldsOf(document, people, name);
      if (fields.has("totp") && !change.replace)
        throw refuse(
          `"${name}" has a secret already: --force replaces it, and the old one is worth nothing then`,
        );
      fields.set("totp", document.createNode(totpField(change.totp)));
      break;
    }
    case "remove":
      if (!known) throw refuse(`"${name}" is not in the file`);
      people.delete(name);
      break;
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** A secret as it stands in a file of users. */
export function totpField(totp: TotpSecret): string | Record<string, unknown> {
  const { digits, algorithm } = totp;
  const secret = base32(totp);
  return digits === 6 && algorithm === "sha1" ? secret : { secret, digits, algorithm };
}

function parse(text: string): Document {
  const options = { version: "1.2", schema: "core", prettyErrors: false, logLevel: "error" } as const;
  const document = parseDocument(text, options) as unknown as Document;
  if (document.errors.length > 0)
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID("it is not YAML; nothing was changed");
  if (document.contents === null) document.contents = new YAMLMap();
  if (!isMap(document.contents))
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID(
      "it is no map with the key `people`; nothing was changed",
    );
  return document;
}

function peopleOf(document: Document): YAMLMap {
  const found: unknown = document.get("people", true);
  if (isMap(found)) return found;
  const made = new YAMLMap();
  document.set("people", made);
  return made;
}

function fieldsOf(document: Document, people: YAMLMap, name: string): YAMLMap {
  const found: unknown = people.get(name, true);
  if (isMap(found)) return found;
  const made = document.createNode({}) as unknown as YAMLMap;
  made.flow = false;
  people.set(name, made);
  return made;
}

function withoutEmpty(user: NewUser): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(user as Record<string, readonly string[]>).filter(([, each]) => each.length > 0),
  );
}
