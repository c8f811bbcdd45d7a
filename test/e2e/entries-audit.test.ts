/** What the audit tells of who is joined with a target unopened, by whatever way. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { type EntryWorld, dialGateway, read, startEntryWorld } from "#test/support/entries";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  world = await startEntryWorld({
    listener: { entries: ["ssh", "version", "http"] },
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }] },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

type Line = Readonly<Record<string, unknown>>;

/** The lines of the session that the given one belongs to, once it has ended. */
async function story(about: (line: Line) => boolean): Promise<Line[]> {
  const file = world.gateway.folder.at("audit.jsonl");
  let found: Line[] = [];
  await until("the end of the session in the audit", async () => {
    const text = await readFile(file, "utf8").catch(() => "");
    const lines = text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line);
    const session = lines.find(about)?.["session"];
    found = lines.filter((line) => session !== undefined && line["session"] === session);
    return found.some(({ event }) => event === "end");
  });
  return found;
}

async function say(text: string): Promise<string> {
  const socket = await dialGateway(world.gateway);
  socket.write(text);
  const heard = await read(socket, (all) => all.includes("\n"));
  socket.end();
  return heard;
}

test("start, target, way, bytes and end of a splice", { skip }, async () => {
  const line = "SSH-2.0-x Host: web1\r\n";
  assert.match(await say(line), /^SSH-2\.0-OpenSSH/);
  const lines = await story(({ name }) => name === "web1");
  assert.deepEqual(
    lines.map(({ event }) => event),
    ["connection", "target", "end"],
  );
  const [connection, target, end] = lines;
  assert.match(String(connection?.["from"]), /^127\.0\.0\.1:/);
  const { entry, outcome, rule, upstream } = target ?? {};
  assert.deepEqual([entry, outcome, rule], ["version", "opened", "splice"]);
  assert.equal(upstream, `127.0.0.1:${world.sshd.port}`);
  assert.equal(end?.["bytesFromClient"], line.length);
  assert((end["bytesToClient"] as number) > 0);
  assert.equal(end["blame"], "none");
});

test("what was refused, and what is down", { skip }, async () => {
  assert.match(await say("CONNECT secret:22 HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 403/);
  const [, refused, end] = await story(({ name }) => name === "secret");
  const { entry, outcome, target } = refused ?? {};
  assert.deepEqual([entry, outcome, target], ["http", "refused", undefined]);
  assert.deepEqual([end?.["blame"], end?.["reason"]], ["DENIED", "DENIED_TARGET"]);
  assert.match(await say("CONNECT gone:22 HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 502/);
  const [, failed] = await story(({ name }) => name === "gone");
  assert.deepEqual([failed?.["outcome"], failed?.["reason"]], ["failed", "UPSTREAM_UNREACHABLE"]);
});

test("who says nothing that is understood has a beginning and an end", { skip }, async () => {
  const socket = await dialGateway(world.gateway);
  socket.end("nonsense\r\n\r\n");
  await read(socket);
  const lines = await story(({ event, blame }) => event === "end" && blame === "PEER");
  assert.deepEqual(
    lines.map(({ event }) => event),
    ["connection", "end"],
  );
});
