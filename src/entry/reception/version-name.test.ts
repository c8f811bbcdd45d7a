import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern } from "#base";
import { maxNamedLineBytes, nameInVersion } from "./version-name.ts";

const comment = new Pattern("(?:.* )?Host: *(?<name>[^ ]+)(?: .*)?");

function named(line: string, pattern: Pattern = comment): string | undefined {
  return nameInVersion(Buffer.from(line, "latin1"), pattern);
}

test("the name is what the comment's pattern catches", () => {
  for (const line of [
    "SSH-2.0-OpenSSH_10.5 Host: web1\r\n",
    "SSH-2.0-OpenSSH_10.5 Host:web1\n",
    "SSH-1.99-x some words Host: web1 and more\r\nSSH-2.0-y Host: web2\r\n",
  ])
    assert.equal(named(line), "web1", line);
  assert.equal(named("SSH-2.0-x @web1\r\n", new Pattern("@(?<name>.*)")), "web1");
});

test("no comment, another comment, another version, no end: no name", () => {
  for (const line of [
    "SSH-2.0-OpenSSH_10.5\r\n",
    "SSH-2.0-OpenSSH_10.5 \r\n",
    "SSH-2.0-OpenSSH_10.5 Debian-1\r\n",
    "SSH-2.0-OpenSSH_10.5 Host:\r\n",
    "SSH-1.5-x Host: web1\r\n",
    "SSH-2.0-Host: web1",
    "",
    "\n",
    `SSH-2.0-x ${"y".repeat(maxNamedLineBytes)} Host: web1\r\n`,
  ])
    assert.equal(named(line), undefined, line.slice(0, 60));
});
