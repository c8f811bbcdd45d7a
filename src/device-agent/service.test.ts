import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { Duplex, duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { silentLog } from "#base";
import { type TempDir, tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { tokenDigest } from "./files.ts";
import type { ServiceConfig } from "./schema.ts";
import { Service } from "./service.ts";

interface Stand extends AsyncDisposable {
  readonly service: Service;
  readonly folder: TempDir;
  /** Sends bytes and gives all that comes back. */
  raw(bytes: string): Promise<string>;
  ask(line: string, headers?: readonly string[]): Promise<{ status: number; body: Record<string, unknown> }>;
}

/** A service whose systemctl and journalctl say how they were called. */
async function start(config: Partial<ServiceConfig> = {}): Promise<Stand> {
  const folder = await tempDir();
  for (const name of ["systemctl", "journalctl"]) {
    const script = `#!/bin/sh\necho ${name} "$@"\nexit \${FAIL:-0}\n`;
    await writeFile(folder.at(name), script, { mode: 0o755 });
  }
  await writeFile(
    folder.at("update"),
    `#!/bin/sh\necho got "$@"\nwhile [ ! -e ${folder.at("go")} ]; do sleep 0.02; done\n`,
    {
      mode: 0o755,
    },
  );
  const service = new Service(
    { port: 80, users: [], restart: ["web.service"], logs: ["web.service"], disks: [folder.path], ...config },
    {
      token: tokenDigest("token"),
      log: silentLog,
      environment: { PATH: `${folder.path}:/usr/bin:/bin` },
      status: () => ({ name: "kiosk7" }),
    },
  );
  const raw = async (bytes: string): Promise<string> => {
    const [near, far] = duplexPair();
    service.take(far);
    near.write(bytes);
    return await text(near);
  };
  return {
    service,
    folder,
    raw,
    ask: async (line, headers = ["Authorization: Bearer token"]) => {
      const answer = await raw(`${[`${line} HTTP/1.1`, "Host: kiosk7", ...headers].join("\r\n")}\r\n\r\n`);
      const [head = "", body = ""] = answer.split("\r\n\r\n");
      const status = Number(/^HTTP\/1\.1 (\d+) /.exec(head)?.[1]);
      return { status, body: JSON.parse(body) as Record<string, unknown> };
    },
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("status, with disks that are there and that are not", async () => {
  await using stand = await start();
  const { status, body } = await stand.ask("GET /status");
  assert.equal(status, 200);
  assert.equal(body["name"], "kiosk7");
  assert.ok(Array.isArray(body["disks"]) && JSON.stringify(body["disks"]).includes("freeBytes"));
  await using other = await start({ disks: ["/nowhere/at/all"] });
  assert.deepEqual((await other.ask("GET /status")).body["disks"], [
    { path: "/nowhere/at/all", error: "ENOENT" },
  ]);
});

test("nothing is answered without a token, not even which pages there are", async () => {
  await using stand = await start();
  for (const line of ["GET /status", "POST /restart?unit=web.service", "GET /nothing", "GET /update"])
    assert.equal((await stand.ask(line, [])).status, 401, line);
  const cross = ["Authorization: Bearer token", "Origin: https://evil.example"];
  assert.equal((await stand.ask("POST /restart?unit=web.service", cross)).status, 403);
});

test("restart and logs: for units that are named, by words", async () => {
  await using stand = await start();
  assert.deepEqual(await stand.ask("POST /restart?unit=web.service"), {
    status: 200,
    body: {
      unit: "web.service",
      exitCode: 0,
      timedOut: false,
      output: "systemctl --no-ask-password restart -- web.service\n",
    },
  });
  const logs = await stand.ask("GET /logs?unit=web.service&lines=7");
  assert.deepEqual(logs.body["lines"], [
    "journalctl --unit=web.service --lines=7 --no-pager --output=short-iso",
  ]);
  for (const line of [
    "POST /restart?unit=other.service",
    "POST /restart?unit=web.service&unit=other.service",
    "POST /restart?unit=web.service%20x",
    "POST /restart?unit=--help",
    "POST /restart",
    "GET /logs?unit=other.service",
    "GET /logs",
  ])
    assert.equal((await stand.ask(line)).status, 403, line);
  for (const lines of ["0", "1001", "-1", "1.5", "all", "1&lines=2"])
    assert.equal((await stand.ask(`GET /logs?unit=web.service&lines=${lines}`)).status, 400, lines);
});

test("a restart that fails says so", async () => {
  await using stand = await start();
  await writeFile(stand.folder.at("systemctl"), "#!/bin/sh\necho no such unit >&2\nexit 5\n");
  const { status, body } = await stand.ask("POST /restart?unit=web.service");
  assert.deepEqual([status, body["exitCode"], body["output"]], [502, 5, "no such unit\n"]);
});

test("update: one at a time, and what came of it", async () => {
  await using folder = await start();
  const command = [folder.folder.at("update"), "--to", "a b"] as const;
  await using stand = await start({ update: { command, timeoutSeconds: 600 } });
  assert.deepEqual((await stand.ask("GET /update")).body, { state: "never" });
  assert.equal((await stand.ask("POST /update")).status, 202);
  assert.equal((await stand.ask("POST /update")).status, 409);
  assert.equal((await stand.ask("GET /status")).body["update"], "running");
  await writeFile(folder.folder.at("go"), "");
  const done = await until("end of the update", async () => {
    const { body } = await stand.ask("GET /update");
    return body["state"] === "running" ? undefined : body;
  });
  assert.deepEqual([done["state"], done["exitCode"], done["output"]], ["done", 0, "got --to a b\n"]);
  assert.equal((await folder.ask("POST /update")).status, 404, "none is configured");
});

test("methods and pages that are not there, and what is no HTTP", async () => {
  await using stand = await start();
  for (const [line, status] of [
    ["GET /", 404],
    ["GET /__proto__", 404],
    ["GET /constructor", 404],
    ["GET /status/", 404],
    ["POST /status", 405],
    ["GET /restart?unit=web.service", 405],
    ["DELETE /update", 405],
    ["GET http://elsewhere/status", 400],
    ["OPTIONS *", 400],
  ] as const)
    assert.equal((await stand.ask(line)).status, status, line);
  assert.equal(await stand.raw("SSH-2.0-x\r\n\r\n"), "");
  assert.equal(await stand.raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`), "");
  const upgrade = "GET /status HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  assert.match(await stand.raw(upgrade), /^HTTP\/1\.1 401 /);
});

test("a body that does not end, and more connections than there is room for", async () => {
  await using stand = await start();
  const head = "POST /update HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const answer = await stand.raw(`${head}${`400\r\n${"x".repeat(1024)}\r\n`.repeat(20)}`);
  assert.ok(!answer.includes(" 200 "));
  const streams: Duplex[] = [];
  for (let count = 0; count < 33; count++) {
    const [near, far] = duplexPair();
    stand.service.take(far);
    streams.push(near, far);
  }
  assert.equal(streams.filter(({ destroyed }) => destroyed).length, 1);
});
