import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { silentLog } from "#base";
import { tempDir } from "#test/support/temp-dir";
import { type ControlHandler, type ControlReply, ControlServer } from "./control.ts";
import { appErrors } from "./errors.ts";

const echo: ControlHandler = async ({ command, ...rest }) => {
  if (command === "refuse") throw new appErrors.OPERATOR_RELOAD_FAILED("line 3 is wrong");
  if (command === "break") throw new Error("an inside");
  return { command, ...rest, text: "done" };
};

/** Writes these bytes, and gives as many replies as wanted. */
async function ask(path: string, bytes: string, wanted: number): Promise<ControlReply[]> {
  const socket = connect({ path });
  await once(socket, "connect");
  socket.write(bytes);
  const replies: ControlReply[] = [];
  for await (const line of createInterface({ input: socket })) {
    replies.push(JSON.parse(line) as ControlReply);
    if (replies.length === wanted) break;
  }
  socket.destroy();
  return replies;
}

test("each line is answered by a line, in order", async () => {
  await using folder = await tempDir();
  const path = folder.at("control.sock");
  await using _server = await ControlServer.listen(path, undefined, echo, silentLog);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const text =
    '{"command":"a","x":1}\n{"command":"refuse"}\nnot JSON\n{"no":1}\n{"command":"break"}\n{"command":"b"}\n';
  const replies = await ask(path, text, 6);
  assert.deepEqual(
    replies.map(({ ok, text }) => [ok, text]),
    [
      [true, "done"],
      [false, "line 3 is wrong"],
      [false, "it is no JSON"],
      [false, "it has no command"],
      [false, "The gateway made an error; its log says more."],
      [true, "done"],
    ],
  );
  assert.equal(replies[0]?.["x"], 1);
});

test("a line that does not end closes the connection", async () => {
  await using folder = await tempDir();
  await using _server = await ControlServer.listen(folder.at("s"), undefined, echo, silentLog);
  const socket = connect({ path: folder.at("s") });
  socket.on("error", () => {});
  socket.resume();
  socket.write("x".repeat(100_000));
  await once(socket, "close");
});

test("a stale socket is replaced, one where somebody answers is not", async () => {
  await using folder = await tempDir();
  const path = folder.at("s");
  await using first = await ControlServer.listen(path, undefined, echo, silentLog);
  await assert.rejects(ControlServer.listen(path, undefined, echo, silentLog), {
    code: "OPERATOR_CONTROL_TAKEN",
  });
  await first[Symbol.asyncDispose]();
  await using _second = await ControlServer.listen(path, undefined, echo, silentLog);
  assert.equal((await ask(path, '{"command":"a"}\n', 1))[0]?.ok, true);
});
