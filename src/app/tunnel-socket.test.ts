import assert from "node:assert/strict";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { silentLog } from "#base";
import { tempDir } from "#test/support/temp-dir";
import { appErrors } from "./errors.ts";
import { openAtWorker, TunnelSocket, tunnelSocketPath } from "./tunnel-socket.ts";

const origin = { host: "192.0.2.1", port: 4711 };
const { signal } = new AbortController();

async function all(stream: Duplex): Promise<string> {
  const pieces: Buffer[] = [];
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  await Promise.race([once(stream, "end"), once(stream, "close")]);
  return Buffer.concat(pieces).toString();
}

test("bytes pass both ways, from the first on, and one direction's end is not the other's", async () => {
  await using folder = await tempDir();
  const path = tunnelSocketPath(folder.path, 1);
  const asked: unknown[] = [];
  const [near, far] = duplexPair();
  await using _ = await TunnelSocket.listen(
    path,
    (...question) => {
      asked.push(question.slice(0, 2));
      // At once, so that it may come with the reply.
      far.write("first ");
      return Promise.resolve(near);
    },
    silentLog,
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const stream = await openAtWorker(path, { key: "k", origin }, signal);
  assert.deepEqual(asked, [["k", origin]]);
  const here = all(stream);
  stream.end("from here");
  assert.equal(await all(far), "from here");
  far.end("and last");
  assert.equal(await here, "first and last");
});

test("what the other worker says no with is said here; what is no question is told nothing", async () => {
  await using folder = await tempDir();
  const path = tunnelSocketPath(folder.path, 1);
  const no = new appErrors.UPSTREAM_TUNNEL_ELSEWHERE("why", { user: "It has left." });
  let secret = false;
  await using _ = await TunnelSocket.listen(
    path,
    () => Promise.reject(secret ? new Error("a secret of the disk") : no),
    silentLog,
  );
  const ask = (): Promise<Duplex> => openAtWorker(path, { key: "k", origin }, signal);
  await assert.rejects(ask(), { code: "UPSTREAM_TUNNEL_ELSEWHERE", user: "It has left." });
  secret = true;
  await assert.rejects(ask(), (error: Error) => !error.message.includes("secret"));
  for (const text of ["nonsense\n", "x".repeat(20_000)]) {
    const socket = connect({ path });
    socket.on("error", () => {});
    socket.write(text);
    assert.doesNotMatch(await all(socket), /"ok":true|secret/);
  }
});

test("who gives up is gone on the other side too, and nobody waits for a worker that is not there", async () => {
  await using folder = await tempDir();
  const path = tunnelSocketPath(folder.path, 1);
  const given = Promise.withResolvers<AbortSignal>();
  {
    await using _ = await TunnelSocket.listen(
      path,
      (_key, _origin, left) => {
        given.resolve(left);
        return new Promise(() => {});
      },
      silentLog,
    );
    const giveUp = new AbortController();
    const asked = openAtWorker(path, { key: "k", origin }, giveUp.signal);
    const left = await given.promise;
    giveUp.abort();
    await assert.rejects(asked, { code: "UPSTREAM_TUNNEL_ELSEWHERE" });
    if (!left.aborted) await once(left, "abort");
  }
  await assert.rejects(openAtWorker(path, { key: "k", origin }, signal), {
    code: "UPSTREAM_TUNNEL_ELSEWHERE",
  });
});
