/** Forwarding of ports, sockets and agents in every direction, with half-closes. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { chmod } from "node:fs/promises";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { startAgent } from "#test/support/agent";
import { bothWays, startBench, type Bench, type Way } from "#test/support/both-ways";
import type { Child } from "#test/support/child";
import { sha256, testBytes } from "#test/support/data";
import {
  answerAfterEnd,
  askAndEnd,
  hearThenSpeak,
  readAll,
  speakThenListen,
  startListener,
  type Listener,
} from "#test/support/echo-server";
import { freePort } from "#test/support/ports";
import { runSsh, spawnSsh, sshReady, type SshOptions } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { within } from "#test/support/waiting";

let bench: Bench;
const skip = missing("ssh", "sshd");
before(async () => {
  if (skip === false) bench = await startBench();
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
});
const both = <T>(name: string, check: Parameters<typeof bothWays<T>>[2]): void =>
  bothWays(name, () => bench, check, { skip });

type Place = { readonly path: string } | { readonly port: number };

/** An `ssh -N` with its forwardings made. */
async function forwarding(way: Way, flags: readonly string[], more: SshOptions = {}): Promise<Child> {
  const ssh = spawnSsh(way.target, [], {
    ...more,
    flags: ["-N", "-v", ...flags],
    options: ["ExitOnForwardFailure=yes", "StreamLocalBindUnlink=yes", "StreamLocalBindMask=0111"],
  });
  await sshReady(ssh);
  return ssh;
}

/** Where a listener of the test is: a UNIX socket that the upstream's user may reach, or a port. */
async function listenAt(
  way: Way,
  kind: "tcp" | "unix",
  serve: (socket: Socket) => void,
): Promise<[Listener, string, Place]> {
  if (kind === "tcp") {
    const listener = await startListener(serve);
    return [listener, `127.0.0.1:${listener.port}`, { port: listener.port }];
  }
  const path = way.folder.at("end.sock");
  const listener = await startListener(serve, { path });
  await chmod(path, 0o777);
  return [listener, path, { path }];
}

/** A free place for ssh or sshd to listen on. */
async function freePlace(way: Way, kind: "tcp" | "unix"): Promise<[string, Place]> {
  if (kind === "unix") return [way.folder.at("forward.sock"), { path: way.folder.at("forward.sock") }];
  const port = await freePort();
  return [`127.0.0.1:${port}`, { port }];
}

for (const [flag, title] of [
  ["-L", "towards the upstream"],
  ["-R", "towards the client"],
] as const) {
  for (const kind of ["tcp", "unix"] as const) {
    both(`${flag} over ${kind}, ${title}: an answer after the asker's end`, async (way) => {
      const [listener, end] = await listenAt(way, kind, answerAfterEnd);
      await using held = new AsyncDisposableStack();
      held.use(listener);
      const [spec, place] = await freePlace(way, kind);
      held.use(await forwarding(way, [flag, `${spec}:${end}`]));
      const data = testBytes(1_500_000, 5);
      assert.equal(await askAndEnd(place, data), `${data.length} ${sha256(data)}\n`);
      const small = await Promise.all(["a", "bb", ""].map((text) => askAndEnd(place, text)));
      assert.deepEqual(
        small.map((text) => text.split(" ")[0]),
        ["1", "2", "0"],
      );
    });

    both(`${flag} over ${kind}, ${title}: words after the other side's end`, async (way) => {
      const heard = Promise.withResolvers<string>();
      const [listener, end] = await listenAt(way, kind, speakThenListen(heard.resolve));
      await using held = new AsyncDisposableStack();
      held.use(listener);
      const [spec, place] = await freePlace(way, kind);
      held.use(await forwarding(way, [flag, `${spec}:${end}`]));
      assert.equal(await hearThenSpeak(place, "the asker speaks last"), "server speaks first");
      assert.equal(await within("the last words", heard.promise), "the asker speaks last");
    });
  }
}

both("-R with port 0: the port that the server chose is told and works", async (way) => {
  await using listener = await startListener(answerAfterEnd);
  await using ssh = await forwarding(way, ["-R", `127.0.0.1:0:127.0.0.1:${listener.port}`]);
  const port = Number((await ssh.waitForStderr(/Allocated port (\d+) for remote forward/))[1]);
  assert.ok(port > 0);
  assert.match(await askAndEnd({ port }, "hello"), /^5 /);
});

both("-R that the server cannot make is refused, and said so", async (way) => {
  await using taken = await startListener(() => undefined);
  const { code, stderr } = await runSsh(way.target, [], {
    flags: ["-N", "-R", `127.0.0.1:${taken.port}:127.0.0.1:1`],
    options: ["ExitOnForwardFailure=yes"],
  });
  assert.equal(code, 255);
  assert.match(stderr, /remote port forwarding failed for listen port/);
});

both("-R is taken back (cancel-tcpip-forward)", async (way) => {
  await using listener = await startListener(answerAfterEnd);
  const control = way.folder.at("control");
  await using ssh = await forwarding(way, ["-M", "-S", control]);
  const port = await freePort();
  const spec = `127.0.0.1:${port}:127.0.0.1:${listener.port}`;
  for (const _ of ["once", "and again"]) {
    const made = await runSsh(way.target, [], { flags: ["-S", control, "-O", "forward", "-R", spec] });
    assert.equal(made.code, 0, made.stderr);
    assert.match(await askAndEnd({ port }, "hello"), /^5 /);
    const cancelled = await runSsh(way.target, [], { flags: ["-S", control, "-O", "cancel", "-R", spec] });
    assert.equal(cancelled.code, 0, cancelled.stderr);
    await assert.rejects(askAndEnd({ port }, "hello"));
  }
  assert.ok(ssh.running);
});

both("-D: SOCKS 5 to a port beyond the upstream, and a refusal in the channel", async (way) => {
  await using listener = await startListener(answerAfterEnd);
  const port = await freePort();
  await using ssh = await forwarding(way, ["-D", `127.0.0.1:${port}`]);
  const socket = await socks(port, listener.port);
  socket.end("through socks");
  assert.match(await readAll(socket), /^13 /);
  const nobody = await freePort();
  const refused = await socks(port, nobody).then(
    () => "opened",
    () => "refused",
  );
  assert.equal(refused, "refused");
  await ssh.waitForStderr(/open failed: connect failed: Connection refused/);
});

/** A connection through a SOCKS 5 proxy without authentication (RFC 1928). */
async function socks(proxyPort: number, port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: proxyPort, allowHalfOpen: true });
  let got = Buffer.alloc(0);
  const read = async (bytes: number): Promise<Buffer> => {
    while (got.length < bytes) {
      const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "end")])) as [Buffer?];
      if (chunk === undefined) throw new Error("the proxy hung up");
      got = Buffer.concat([got, chunk]);
    }
    const wanted = got.subarray(0, bytes);
    got = got.subarray(bytes);
    return wanted;
  };
  socket.write(Buffer.from([5, 1, 0]));
  await within("the SOCKS greeting", read(2));
  socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]));
  const answer = await within("the SOCKS answer", read(10));
  if (answer[1] !== 0) throw new Error(`SOCKS error ${answer[1]}`);
  return socket;
}

both("-W: stdin and stdout are the connection", async (way) => {
  await using listener = await startListener(answerAfterEnd);
  const data = testBytes(300_000, 9);
  const { code, stdout } = await runSsh(way.target, [], {
    flags: ["-W", `127.0.0.1:${listener.port}`],
    stdin: { data },
  });
  assert.equal(code, 0);
  assert.equal(stdout.toString(), `${data.length} ${sha256(data)}\n`);
});

both("-A: the agent is reached from the upstream, and the session ends", async (way) => {
  await using agent = await startAgent([way.bench.identity.path]);
  const { code, stdout } = await runSsh(way.target, ["ssh-add -l; ssh-add -l | wc -l"], {
    flags: ["-A"],
    options: [`IdentityAgent=${agent.socket}`],
    env: { SSH_AUTH_SOCK: agent.socket },
  });
  assert.equal(code, 0);
  assert.ok(stdout.toString().includes(way.bench.identity.fingerprint));
  return stdout.toString();
});

both("-A: a second hop logs in with the forwarded agent", async (way) => {
  await using agent = await startAgent([way.bench.identity.path]);
  const { direct } = way.bench;
  const hop = `ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -p ${direct.port} ${direct.user}@${direct.host}`;
  const { code, stdout, stderr } = await runSsh(way.target, [`${hop} 'echo at the end'`], {
    flags: ["-A"],
    options: [`IdentityAgent=${agent.socket}`],
    env: { SSH_AUTH_SOCK: agent.socket },
  });
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), "at the end\n");
});

both("forwardings and sessions together: 10 of each, all whole", async (way) => {
  await using listener = await startListener(answerAfterEnd);
  const control = way.folder.at("control");
  const port = await freePort();
  await using held = new AsyncDisposableStack();
  held.use(
    await forwarding(way, ["-M", "-S", control, "-L", `127.0.0.1:${port}:127.0.0.1:${listener.port}`]),
  );
  await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const data = testBytes(400_000 + index, index + 1);
      const asked = askAndEnd({ port }, data);
      const ran = runSsh(way.target, ["sha256sum"], { flags: ["-S", control], stdin: { data } });
      assert.equal(await asked, `${data.length} ${sha256(data)}\n`);
      assert.equal((await ran).stdout.toString().split(" ")[0], sha256(data));
    }),
  );
});
