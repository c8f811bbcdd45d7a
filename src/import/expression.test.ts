import { Pattern } from "#base";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Untranslatable } from "./errors.ts";
import { fromGoExpression, fromPythonExpression } from "./expression.ts";
import { fromGoTemplate, fromPythonTemplate } from "./template.ts";

function untranslatable(wanted: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Untranslatable && wanted.test(error.message);
}

test("an expression of Python becomes one of ours over the whole name", () => {
  const cases: [string, string][] = [
    [String.raw`^web(?P<srv_id>\d+)$`, String.raw`^web(?<srv_id>\d+)$`],
    [String.raw`^web\d+\Z`, String.raw`^web\d+\z`],
    ["^web", "^web.*"],
    ["^web.*", "^web.*"],
    ["^web$?", "^web$?.*"],
    ["^a|b", ".*?(?:^a|b).*"],
    ["^(a|b)$", "^(a|b)$"],
    ["^web(?i)$", "(?i)^web$"],
    ["^(?#who)web$", "^web$"],
    ["^a{,3}b{2}c{1,}d{,}$", "^a{0,3}b{2}c{1,}d*$"],
    ["^a{b}$", String.raw`^a\{b\}$`],
    ["^[]a]$", String.raw`^[\]a]$`],
    ["^[^]a]$", String.raw`^[^\]a]$`],
    ["^[[:alpha:]]$", String.raw`^[\[:alpha:]]$`],
    [String.raw`^[\b\w\-\101]$`, String.raw`^[\x08\w\-\x41]$`],
    [String.raw`^\e\p\_\.\x41\0$`, String.raw`^ep\_\.\x41\x00$`],
    ["^(?P<user>[a-z]+)$", "^(?<user_>[a-z]+)$"],
    ["^(?P<user>a)(?P<user_>b)$", "^(?<user__>a)(?<user_>b)$"],
    [String.raw`^\$$`, String.raw`^\$$`],
    [String.raw`^a\$`, String.raw`^a\$.*`],
    ["^[$]", "^[$].*"],
    ["^(a$)", "^(a$).*"],
    ["^a(?m)$", "(?m).*?^a$.*"],
  ];
  for (const [python, ours] of cases) {
    const { pattern } = fromPythonExpression(python);
    assert.equal(pattern, ours, python);
    assert.ok(new Pattern(pattern));
  }
});

test("it takes the names that Python's search took", () => {
  // Expression, names that it finds, names that it does not.
  const cases: [string, string[], string[]][] = [
    ["^web", ["web", "web1", "webmaster"], ["xweb", "we"]],
    ["^web$", ["web"], ["web1", "xweb"]],
    ["^a|b", ["a", "ax", "xb", "xbx"], ["xa", "x"]],
    ["^a|^b$", ["a", "ax", "b"], ["xb", "bx"]],
    ["^[[:a]+$", ["[:a", "a"], ["b", "]"]],
    ["^a{,2}$", ["", "a", "aa"].slice(1), ["aaa"]],
    ["^Web(?i)\\d$", ["web1", "WEB2"], ["web"]],
  ];
  for (const [python, taken, others] of cases) {
    const pattern = new Pattern(fromPythonExpression(python).pattern);
    for (const name of taken) assert.ok(pattern.match(name), `${python} ${name}`);
    for (const name of others) assert.equal(pattern.match(name), undefined, `${python} ${name}`);
  }
});

test("what cannot be matched in linear time is refused by its own name", () => {
  const cases: [string, RegExp][] = [
    ["^(?=a)a", /\(\?=…\) is look-around/],
    ["^(?!a)b", /look-around/],
    ["^a(?<=a)b", /look-around/],
    ["^a(?<!a)b", /look-around/],
    [String.raw`^(a)\1`, /\\1 is a back-reference/],
    ["^(?P<a>x)(?P=a)", /\(\?P=a\) is a back-reference/],
    ["^(a)?(?(1)b|c)", /is a condition/],
    ["^a(?x)", /only i, m and s/],
    ["^(a", /cannot be used: missing closing/],
    ["^[a", /is not closed/],
    ["^a\\", /ends with a backslash/],
    ["^a{2000}", /cannot be used/],
  ];
  for (const [python, wanted] of cases)
    assert.throws(() => fromPythonExpression(python), untranslatable(wanted), python);
});

test("a template of Python becomes one of ours", () => {
  const expression = fromPythonExpression(String.raw`^(?P<id>\d+)-(\w)(?P<user>x)$`);
  const cases: [string, string][] = [
    [String.raw`web\g<id>.lan`, "web{id}.lan"],
    [String.raw`\1\2\g<2>`, "{1}{2}{2}"],
    [String.raw`\g<user>`, "{user_}"],
    [String.raw`\g<0>`, "{0}"],
    [String.raw`a\\b\.c\n`, "a\\b\\.c\n"],
    [String.raw`DOMAIN\\\1`, "DOMAIN\\{1}"],
    [String.raw`\101`, "A"],
    ["{a}", "{{a}}"],
    ["plain", "plain"],
    ["", ""],
  ];
  for (const [python, ours] of cases) assert.equal(fromPythonTemplate(python, expression), ours, python);
  assert.throws(() => fromPythonTemplate(String.raw`\4`, expression), untranslatable(/does not have/));
  assert.throws(() => fromPythonTemplate(String.raw`\g<no>`, expression), untranslatable(/does not have/));
  assert.throws(() => fromPythonTemplate(String.raw`\g`, expression), untranslatable(/needs the name/));
  const open = fromPythonExpression("^web");
  assert.throws(() => fromPythonTemplate(String.raw`\g<0>`, open), untranslatable(/put brackets/));
});

test("an expression of Go is found anywhere, and what stands around it is kept", () => {
  const cases: [string, string, string, string][] = [
    ["^p_(.*?)_x$", "$1", "^p_(.*?)_x$", "{1}"],
    [".*", "root", ".*", "root"],
    ["^web.*", "root", "^web.*", "root"],
    ["^web", "root", "^web(?<after>.*)", "root{after}"],
    ["(web)$", "$1", "(?<before>.*?)(web)$", "{before}{2}"],
    ["^(?P<user>a)$", "${user}", "^(?<user_>a)$", "{user_}"],
    ["^(a)(b)$", "$1x-${1}x$$", "^(a)(b)$", "-{1}x$"],
    ["^(a)$", "$nobody$9 {b}", "^(a)$", " {{b}}"],
    ["^[[:alpha:]]$", "$0", "^[[:alpha:]]$", "{0}"],
    ["(?i)^a$", "x", "(?i)^a$", "x"],
  ];
  for (const [go, template, pattern, ours] of cases) {
    const expression = fromGoExpression(go);
    assert.equal(expression.pattern, pattern, go);
    assert.equal(fromGoTemplate(template, expression), ours, go);
  }
  const open = fromGoExpression("a|b");
  assert.equal(open.pattern, "(?<before>.*?)(?:a|b)(?<after>.*)");
  assert.throws(() => fromGoTemplate("x", open), untranslatable(/put \^ before it/));
  assert.throws(() => fromGoTemplate("$0", fromGoExpression("^a")), untranslatable(/put brackets/));
  assert.throws(() => fromGoExpression("(?=a)"), untranslatable(/look-around/));
});
