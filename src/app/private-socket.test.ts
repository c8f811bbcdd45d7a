import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { tempDir } from "#test/support/temp-dir";
import { listenPrivately } from "./private-socket.ts";

test("two sockets made at once are private, and what else is made meanwhile and later is as ever", async () => {
  await using folder = await tempDir();
  const mask = process.umask();
  const servers = [createServer(), createServer()];
  try {
    const made = servers.map((server, at) => listenPrivately(server, folder.at(`${at}.sock`)));
    await Promise.resolve();
    assert.equal(process.umask(), mask);
    await Promise.all(made);
    assert.equal(process.umask(), mask);
    for (const at of servers.keys()) assert.equal(statSync(folder.at(`${at}.sock`)).mode & 0o777, 0o600);
  } finally {
    process.umask(mask);
    for (const server of servers) server.close();
  }
});

test("only a socket makes room for a socket: whatever else stands there stays", async () => {
  await using folder = await tempDir();
  const path = folder.at("precious");
  writeFileSync(path, "kept\n");
  const server = createServer();
  await assert.rejects(listenPrivately(server, path), { code: "EADDRINUSE" });
  assert.equal(readFileSync(path, "utf8"), "kept\n");
});
