import { dirname, isAbsolute, join } from "node:path";
import { PosternError } from "#base";
import type { FileReader, User } from "#contract";
import { LineCounter, parseDocument } from "yaml";
import { usersErrors } from "./errors.ts";
import { personName, userSchema, usersFileSchema } from "./schema.ts";

/** Some ten thousand people; more belong in a directory service. */
export const maxUsersFileBytes: number = 4 * 1024 * 1024;

/** A secret or a hash in a file of its own. */
const maxReferredBytes = 64 * 1024;

export interface UsersFile {
  readonly people: ReadonlyMap<string, User>;
  /** Something came from other files: what was read may have changed though this file has not. */
  readonly refers: boolean;
}

/**
 * Reads a file of users: YAML with the key `people`. Throws OPERATOR_USERS_FILE_INVALID where the file as a whole is wrong; a user
 * who is wrong is told to `warn`, and left out.
 */
export async function parseUsersFile(
  text: string,
  path: string,
  files: FileReader,
  warn: (problem: string) => void,
): Promise<UsersFile> {
  const lines = new LineCounter();
  const at = (offset: number | undefined): string =>
    offset === undefined ? path : `${path}:${lines.linePos(offset).line}`;
  const document = parse(text, path, lines);
  const [problem] = document.errors;
  if (problem !== undefined)
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`${at(problem.pos[0])}: ${firstLine(problem.message)}`);
  const value: unknown = plain(document, path);
  const whole = usersFileSchema.safeParse(value ?? {});
  if (!whole.success) {
    const keys = "only the key `people`, a map of users by name, may stand here";
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`${path}: ${keys}`);
  }
  const people = new Map<string, User>();
  let refers = false;
  const filled = async (inner: unknown): Promise<unknown> => {
    if (typeof inner === "string") {
      const [, name] = /^\$\{file:(.+)\}$/.exec(inner) ?? [];
      if (name === undefined) return inner;
      refers = true;
      return await referred(isAbsolute(name) ? name : join(dirname(path), name), files);
    }
    if (Array.isArray(inner)) return await Promise.all(inner.map(filled));
    if (typeof inner !== "object" || inner === null) return inner;
    const entries = await Promise.all(
      Object.entries(inner).map(async ([key, each]) => [key, await filled(each)] as const),
    );
    return Object.fromEntries(entries);
  };
  for (const [name, fields] of Object.entries(whole.data.people)) {
    const node = document.getIn(["people", name], true) as { range?: [number, number, number] } | undefined;
    const place = at(node?.range?.[0]);
    try {
      const read = userSchema.safeParse((await filled(fields)) ?? {});
      const issue = personName.safeParse(name).error?.issues[0] ?? read.error?.issues[0];
      if (read.success && issue === undefined) people.set(name, { ...read.data, name });
      else warn(`${place}: ${["people", name, ...(issue?.path ?? [])].join(".")}: ${issue?.message ?? ""}`);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      warn(`${place}: people.${name}: ${error.message}`);
    }
  }
  return { people, refers };
}

function parse(text: string, path: string, lineCounter: LineCounter): ReturnType<typeof parseDocument> {
  try {
    return parseDocument(text, {
      lineCounter,
      prettyErrors: false,
      version: "1.2",
      schema: "core",
      stringKeys: true,
      logLevel: "error",
    });
  } catch (cause) {
    // The parser recurses: what is nested too deeply ends its stack.
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`${path} is not YAML`, { cause });
  }
}

/** Aliases have no use in such a file, and a few of them can mean a great many values. */
function plain(document: ReturnType<typeof parseDocument>, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`${path}: it uses aliases, or is nested too deeply`, {
      cause,
    });
  }
}

async function referred(path: string, files: FileReader): Promise<string> {
  const read = await files.read(path, maxReferredBytes);
  if (read === undefined) throw new usersErrors.OPERATOR_USERS_FILE_INVALID(`there is no file ${path}`);
  return Buffer.from(read.bytes)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

/** Never what follows: parsers show the text that they could not read. */
function firstLine(message: string): string {
  return message.split("\n")[0]?.replace(/".*"/, "…") ?? "";
}
