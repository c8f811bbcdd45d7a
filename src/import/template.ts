/** Templates of other programs, with references to groups of an expression, in our syntax. */
import { Untranslatable } from "./errors.ts";
import type { Translated } from "./expression.ts";

/** Text that stands for itself in a template of ours. */
export function literal(text: string): string {
  return text.replace(/[{}]/g, "$&$&");
}

const pythonReference = /\\(?:g<([^>]*)>|(0[0-7]{0,2}|[0-3][0-7]{2}|[1-9][0-9]?)|([\s\S]))?/g;
const pythonEscapes: Readonly<Record<string, string>> = {
  "\\": "\\",
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** A template of Python's `re.expand`: `\g<name>`, `\g<1>`, `\1`. Throws Untranslatable. */
export function fromPythonTemplate(text: string, expression: Translated): string {
  let out = "";
  let at = 0;
  for (const found of text.matchAll(pythonReference)) {
    const [whole, named, number, other] = found;
    out += literal(text.slice(at, found.index));
    at = found.index + whole.length;
    if (named !== undefined) out += reference(named, expression, whole);
    else if (number !== undefined) {
      out += /^0|^\d{3}$/.test(number)
        ? literal(String.fromCharCode(Number.parseInt(number, 8)))
        : reference(number, expression, whole);
    } else if (other === "g") throw new Untranslatable("\\g needs the name of a group behind it: \\g<name>");
    else out += literal((other === undefined ? undefined : pythonEscapes[other]) ?? whole);
  }
  return out + literal(text.slice(at));
}

function reference(group: string, expression: Translated, whole: string): string {
  const ours = expression.names.get(group);
  if (ours !== undefined) return `{${ours}}`;
  const number = /^[0-9]{1,2}$/.test(group) ? Number(group) : undefined;
  if (number === 0) {
    if (expression.before === undefined && expression.after === undefined) return "{0}";
    throw new Untranslatable(
      `${whole} is the part of the name that matched: put brackets round it in the expression, and write \\1`,
    );
  }
  if (number !== undefined && number <= expression.groups) return `{${number}}`;
  throw new Untranslatable(`${whole} names a group that the expression does not have`);
}

const goReference = /\$(?:\$|\{([^}]*)\}|(\w+))?/g;

/**
 * A template of Go's `ReplaceAllString`, for a name: what stands around the match stays. A group that the expression does not have is empty
 * there. Throws Untranslatable.
 */
export function fromGoTemplate(text: string, expression: Translated): string {
  const { before, after } = expression;
  if (before !== undefined && after !== undefined) {
    throw new Untranslatable(
      "the expression may match anywhere in a name, and every match is replaced: put ^ before it and $ behind it",
    );
  }
  let out = "";
  let at = 0;
  for (const found of text.matchAll(goReference)) {
    const [whole, braced, bare] = found;
    const name = braced ?? bare;
    out += literal(text.slice(at, found.index));
    at = found.index + whole.length;
    if (whole === "$$") out += "$";
    else if (name === undefined) out += literal(whole);
    else out += goGroup(name, expression);
  }
  const middle = out + literal(text.slice(at));
  return (before === undefined ? "" : `{${before}}`) + middle + (after === undefined ? "" : `{${after}}`);
}

function goGroup(name: string, expression: Translated): string {
  const ours = expression.names.get(name);
  if (ours !== undefined) return `{${ours}}`;
  if (!/^[0-9]+$/.test(name)) return "";
  const number = Number(name);
  // A group that catches what stands before the match comes first, and moves the others on.
  const shift = expression.before === undefined ? 0 : 1;
  if (number === 0) {
    if (expression.before === undefined && expression.after === undefined) return "{0}";
    throw new Untranslatable(
      "$0 is the part of the name that matched: put brackets round it in the expression, and write $1",
    );
  }
  return number <= expression.groups ? `{${number + shift}}` : "";
}
