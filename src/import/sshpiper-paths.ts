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
  const plain = (text: string): string => (template ? literal(text) : text);
  let out = "";
  // Escaped only when it is whole: a $ at the end of one piece and a brace at the start of the next would be a reference too.
  let text = isAbsolute(path) || path.startsWith("$") ? "" : `${plain(folder)}/`;
  let at = 0;
  for (const found of path.matchAll(placeholder)) {
    const name = found[1] ?? found[2] ?? "";
    text += plain(path.slice(at, found.index));
    at = found.index + found[0].length;
    if (name === "DOWNSTREAM_USER") text += clientName(names.user, template, plain);
    else if (name === "UPSTREAM_USER") text += upstreamName(names, template);
    else if (!/^[A-Za-z_]\w*$/.test(name))
      throw new Untranslatable(`${found[0]} is no placeholder that can be imported`);
    else if (text.endsWith("$")) throw new Untranslatable(`a $ before ${found[0]} cannot be written here`);
    else {
      out += `${escaped(text)}\${env:${name}}`;
      text = "";
    }
  }
  const whole = out + escaped(text + plain(path.slice(at)));
  return new Verbatim(whole.includes("${") ? whole : join(whole));
}

function escaped(text: string): string {
  return text.replaceAll("${", () => "$${");
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
