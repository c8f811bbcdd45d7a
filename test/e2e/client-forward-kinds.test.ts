/** `postern forward` against OpenSSH's sshd, Dropbear and Postern: each kind of forwarding, each direction with its own end. */
import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { test } from "node:test";
import { Child, succeed } from "#test/support/child";
import { clientOptions } from "#test/support/client-lab";
import { sha256, testBytes } from "#test/support/data";
import { startDropbear } from "#test/support/dropbear";
import {
  answerAfterEnd,
  askAndEnd,
  hearThenSpeak,
  speakThenListen,
  startListener,
} from "#test/support/echo-server";
import { program } from "#test/support/gateway";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { makeKey, knownHostsLine } from "#test/support/test-keys";
import { needsRoot, testUser } from "#test/support/test-user";
import { startWorld } from "#test/support/world";
import { writeFile } from "node:fs/promises";

/** A server to forward through: where, and how to get in. */
interface Through {
  readonly destination: string;
  readonly options: readonly string[];
  readonly unix: boolean;
}

const data = testBytes(1_500_000);
const answer = `${data.length} ${sha256(data)}\n`;

/** All kinds at once over one connection; each is asked something that needs a half-close to be answered. */
async function checkKinds({ destination, options, unix }: Through): Promise<void> {
  await using folder = await tempDir();
  await chmod(folder.path, 0o777);
  const heard: string[] = [];
  await using asked = await startListener(answerAfterEnd);
  await using speaker = await startListener(speakThenListen((text) => heard.push(text)));
  await using _socket = await startListener(answerAfterEnd, { path: folder.at("target") });
  await chmod(folder.at("target"), 0o777);
  const local = folder.at("local");
  const remote = folder.at("remote");
  const unixForwards = [
    "-L",
    `${local}:127.0.0.1:${asked.port}`,
    "-L",
    `0:${folder.at("target")}`,
    "-R",
    `${remote}:${folder.at("target")}`,
  ];
  await using child = new Child(
    process.execPath,
    [
      program,
      "forward",
      ...options,
      "-L",
      `0:127.0.0.1:${asked.port}`,
      "-L",
      `[::1]:0:localhost:${speaker.port}`,
      "-R",
      `0:127.0.0.1:${asked.port}`,
      "-R",
      `127.0.0.1:0:127.0.0.1:${speaker.port}`,
      "-D",
      "0",
      "-R",
      "0",
      ...(unix ? unixForwards : []),
      destination,
    ],
    { env: { HOME: folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" } },
  );
  const port = async (pattern: string): Promise<number> =>
    Number((await child.waitForStdout(new RegExp(`^Forwarding ${pattern}`, "m")))[1]);
  const ask = async (
    what: string,
    where: { path: string } | { host?: string; port: number },
  ): Promise<void> => {
    assert.equal(await askAndEnd(where, data), answer, what);
  };
  await ask("-L", { port: await port(`127\\.0\\.0\\.1:(\\d+) to 127\\.0\\.0\\.1:${asked.port} `) });
  await ask("-R", { port: await port(`localhost:(\\d+) there to 127\\.0\\.0\\.1:${asked.port} here`) });
  const six = await port(`\\[::1\\]:(\\d+) to localhost:${speaker.port} `);
  assert.equal(await hearThenSpeak({ host: "::1", port: six }, "and I answer"), "server speaks first");
  const back = await port(`127\\.0\\.0\\.1:(\\d+) there to 127\\.0\\.0\\.1:${speaker.port} here`);
  assert.equal(await hearThenSpeak({ port: back }, "so do I"), "server speaks first");
  const socks = [
    await port(`127\\.0\\.0\\.1:(\\d+) to wherever SOCKS says through`),
    await port(`localhost:(\\d+) there to wherever SOCKS says here`),
  ];
  await using web = await startListener((socket) => {
    socket.once("data", () => socket.end("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
  });
  const [byName, byAddress] = ["localhost", "127.0.0.1"].map((host) => `http://${host}:${web.port}/`);
  for (const proxy of socks) {
    for (const [kind, url = ""] of [
      ["socks4", byAddress],
      ["socks4a", byName],
      ["socks5", byAddress],
      ["socks5h", byName],
    ] as const) {
      const page = await succeed(stranger("curl"), [
        "-sS",
        "-m",
        "30",
        "-x",
        `${kind}://127.0.0.1:${proxy}`,
        url,
      ]);
      assert.equal(page, "hello", `${kind} by ${proxy === socks[0] ? "-D" : "-R"}`);
    }
  }
  if (unix) {
    await ask("-L from a socket", { path: local });
    await ask("-R from a socket", { path: remote });
    await ask("-L to a socket", { port: await port(`127\\.0\\.0\\.1:(\\d+) to ${folder.at("target")} `) });
  }
  const count = (unix ? 7 : 4) + 8;
  await child.waitForStdout(new RegExp(`^\\[${count}\\] closed`, "m"));
  assert.deepEqual(heard.sort(), ["and I answer", "so do I"]);
  child.kill("SIGTERM");
  const { code, stderr } = await child.outcome();
  assert.equal(code, 0, stderr);
}

const skip = missing("ssh", "sshd", "curl");

test("through sshd", { skip }, async () => {
  await using world = await startWorld({});
  const { sshd, user, identity } = world;
  await checkKinds({
    destination: `${user.name}@127.0.0.1:${sshd.port}`,
    options: clientOptions(identity.path, sshd.knownHosts),
    unix: true,
  });
});

test("through Postern", { skip }, async () => {
  await using world = await startWorld({});
  const { gateway, user, identity } = world;
  await checkKinds({
    destination: `${user.name}@127.0.0.1:${gateway.port}`,
    options: clientOptions(identity.path, gateway.knownHosts),
    unix: true,
  });
});

test("through Dropbear", { skip: skip || missing("dropbear") || needsRoot }, async () => {
  await using folder = await tempDir();
  await using user = await testUser();
  const hostKey = makeKey(folder.at("host"), "ed25519");
  const key = makeKey(folder.at("id"), "ed25519");
  await using server = await startDropbear({ user, hostKeys: [hostKey], authorizedKeys: [key.publicLine] });
  await writeFile(
    folder.at("known_hosts"),
    `${knownHostsLine("127.0.0.1", server.port, hostKey.publicLine)}\n`,
  );
  await checkKinds({
    destination: `${user.name}@127.0.0.1:${server.port}`,
    options: clientOptions(key.path, folder.at("known_hosts")),
    unix: false,
  });
});
