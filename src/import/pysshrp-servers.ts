import type { Problem } from "#config";
import { type Place, problemAt } from "./errors.ts";
import type { PythonValue } from "./python.ts";
import type { Assigned } from "./read-python.ts";

/** One value of a server, and where it stands. */
export interface Given<T> {
  readonly value: T;
  readonly place: Place;
}

/** One of the `servers`, its types checked. What is absent has pysshrp's default. */
export interface Server {
  readonly place: Place;
  readonly folder: string;
  readonly user: string;
  readonly userPlace: Place;
  /** `user` is an expression. */
  readonly expression: boolean;
  readonly password?: Given<string>;
  readonly host: Given<string>;
  readonly upstreamUser?: Given<string>;
  readonly upstreamPassword?: Given<string>;
  readonly upstreamKey?: Given<string>;
  readonly authorizedKeys?: Given<string>;
  readonly port?: Given<number>;
  readonly rootPath?: Given<string>;
  readonly allowSsh: boolean;
  readonly allowSftp: boolean;
  /** Keys that pysshrp does not know, and so ignored. */
  readonly unknown: readonly Given<string>[];
}

const known = new Set([
  "user",
  "password",
  "upstream_host",
  "upstream_user",
  "upstream_password",
  "upstream_key",
  "upstream_authorized_keys",
  "upstream_port",
  "upstream_root_path",
  "allow_ssh",
  "allow_sftp",
]);

/** The servers that are what they should be; what is wrong with the others goes to `problems`. */
export function readServers(assigned: Assigned | undefined, problems: Problem[]): Server[] {
  if (assigned === undefined) return [];
  const { value, folder } = assigned;
  if (value.kind !== "list") {
    problems.push(problemAt(value, "servers: expected a list of dicts, [ { … }, … ]"));
    return [];
  }
  return value.items.flatMap((item) => readServer(item, folder, problems) ?? []);
}

function readServer(item: PythonValue, folder: string, problems: Problem[]): Server | undefined {
  if (item.kind !== "dict") {
    problems.push(problemAt(item, "servers: expected a dict, { 'user': …, 'upstream_host': … }"));
    return undefined;
  }
  const fields = new Map<string, PythonValue>();
  const unknown: Given<string>[] = [];
  for (const [key, value] of item.entries) {
    if (key.kind !== "text") problems.push(problemAt(key, "expected a key in quotes, such as 'user'"));
    else if (known.has(key.value)) fields.set(key.value, value);
    else unknown.push({ value: key.value, place: key });
  }
  const text = (name: string): Given<string> | undefined => {
    const value = fields.get(name);
    if (value === undefined) return undefined;
    if (value.kind !== "text") problems.push(problemAt(value, `${name}: expected text in quotes`));
    else if (value.value !== "") return { value: value.value, place: value };
    return undefined;
  };
  const truth = (name: string): boolean => {
    const value = fields.get(name);
    if (value === undefined) return true;
    if (value.kind !== "truth") problems.push(problemAt(value, `${name}: expected True or False`));
    return value.kind !== "truth" || value.value;
  };
  const required = (name: string): Given<string> | undefined => {
    const value = fields.get(name);
    const found = text(name);
    if (value === undefined || (value.kind === "text" && value.value === ""))
      problems.push(
        problemAt(value ?? item, `${name} is missing: every server needs user and upstream_host`),
      );
    return found;
  };
  const user = required("user");
  const host = required("upstream_host");
  const password = text("password");
  const upstreamUser = text("upstream_user");
  const upstreamPassword = text("upstream_password");
  const upstreamKey = text("upstream_key");
  const authorizedKeys = text("upstream_authorized_keys");
  const rootPath = text("upstream_root_path");
  const allowSsh = truth("allow_ssh");
  const allowSftp = truth("allow_sftp");
  const port = readPort(fields.get("upstream_port"), problems);
  if (user === undefined || host === undefined) return undefined;
  return {
    place: placeOf(item),
    folder,
    user: user.value,
    userPlace: placeOf(user.place),
    expression: user.value.startsWith("^"),
    ...(password === undefined ? {} : { password }),
    host,
    ...(upstreamUser === undefined ? {} : { upstreamUser }),
    ...(upstreamPassword === undefined ? {} : { upstreamPassword }),
    ...(upstreamKey === undefined ? {} : { upstreamKey }),
    ...(authorizedKeys === undefined ? {} : { authorizedKeys }),
    ...(port === undefined ? {} : { port }),
    ...(rootPath === undefined ? {} : { rootPath }),
    allowSsh,
    allowSftp,
    unknown,
  };
}

function readPort(value: PythonValue | undefined, problems: Problem[]): Given<number> | undefined {
  if (value === undefined) return undefined;
  const port = value.kind === "whole" ? Number(value.value) : 0;
  if (port >= 1 && port <= 65_535) return { value: port, place: value };
  problems.push(problemAt(value, "upstream_port: expected a whole number, 1 to 65535"));
  return undefined;
}

function placeOf({ file, line, column }: Place): Place {
  return { file, line, column };
}
