import { isAbsolute, join } from "node:path";
import { Untranslatable } from "./errors.ts";
import { literal } from "./template.ts";
import { Verbatim } from "./yaml-text.ts";

/** What the placeholders of a path stand for, as far as it is known while importing. */
export interface PathNames {
  /** The client's user name, if the rule is for one name only. */
  readonly user: string | undefined;
  /** A template of ours for the user name at the upstream. */
  readonly upstreamUser: string;
}

const placeholder = /\$(?:\{([^}]*)\}|(\w+))/g;

/**
 * A path of sshpiper with `$DOWNSTREAM_USER`, `$UPSTREAM_USER` and environment variables, relative to `folder`. `template`: ours may have
 * captures. Throws Untranslatable.
 */
export function importPath(path: string, folder: string, names: PathNames, template: boolean): Verbatim {
  const plain = (text: string): string => (template ? literal(text) : text).replaceAll("${", () => "$${");
  let out = "";
  let at = 0;
  for (const found of path.matchAll(placeholder)) {
    const name = found[1] ?? found[2] ?? "";
    out += plain(path.slice(at, found.index));
    at = found.index + found[0].length;
    if (name === "DOWNSTREAM_USER") out += clientName(names.user, template, plain);
    else if (name === "UPSTREAM_USER") out += upstreamName(names, template);
    else if (/^[A-Za-z_]\w*$/.test(name)) out += `\${env:${name}}`;
    else throw new Untranslatable(`${found[0]} is no placeholder that can be imported`);
  }
  out += plain(path.slice(at));
  const whole = isAbsolute(path) || path.startsWith("$") ? out : `${plain(folder)}/${out}`;
  return new Verbatim(whole.includes("${") ? whole : join(whole));
}

function clientName(user: string | undefined, template: boolean, plain: (text: string) => string): string {
  if (template) return "{user}";
  if (user === undefined) {
    throw new Untranslatable(
      "$DOWNSTREAM_USER differs from user to user, and here only one file can be named; write a rule for each",
    );
  }
  if (/[/\\]|^\.{0,2}$/.test(user))
    throw new Untranslatable("the user name leads out of its place in the path");
  return plain(user);
}

function upstreamName({ upstreamUser }: PathNames, template: boolean): string {
  if (template) return upstreamUser;
  const fixed = upstreamUser.replace(/\{\{|\}\}/g, "");
  if (/[{}/\\]/.test(fixed)) {
    throw new Untranslatable(
      "$UPSTREAM_USER differs from user to user, and here only one file can be named; write a rule for each",
    );
  }
  return upstreamUser.replace(/\{\{|\}\}/g, (pair) => pair.slice(1));
}
