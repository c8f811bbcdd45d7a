import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Writer } from "#ssh/wire";
import { code } from "#test/support/decoder";
import { tempDir } from "#test/support/temp-dir";
import { readOverSftp } from "./sftp-read.ts";

const server = "/usr/lib/openssh/sftp-server";
const skip = existsSync(server) ? false : "no sftp-server of OpenSSH";

/** A channel to OpenSSH's own server. */
function real(folder: string): Duplex & Disposable {
  const child = spawn(server, ["-e"], { cwd: folder, stdio: ["pipe", "pipe", "ignore"] });
  const channel: Duplex = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => void child.stdin.write(chunk, done),
  });
  child.stdout.on("data", (chunk: Buffer) => void channel.push(chunk));
  child.stdout.once("end", () => void channel.push(null));
  channel.on("error", () => {});
  return Object.assign(channel, { [Symbol.dispose]: () => void child.kill() });
}

test("files of OpenSSH's server: empty, small, in many pieces, absent, too large", { skip }, async () => {
  await using folder = await tempDir();
  const read = async (path: string, maxBytes = 256 * 1024): Promise<Uint8Array | undefined> => {
    using channel = real(folder.path);
    return await readOverSftp(channel, path, maxBytes);
  };
  for (const length of [0, 5, 32 * 1024, 200_000]) {
    const content = Buffer.alloc(length, "authorized keys ");
    writeFileSync(folder.at("file"), content);
    assert.deepEqual(await read("file"), content, `${length} bytes`);
  }
  assert.equal(await read("absent"), undefined);
  await assert.rejects(read("file", 199_999), code("UPSTREAM_FILE_UNREADABLE"));
  await assert.rejects(read("."), code("UPSTREAM_FILE_UNREADABLE"), "a folder");
});

/** A channel whose far end gives these answers, one for each question, and then ends. */
function scripted(answers: readonly Uint8Array[]): Duplex {
  const left = [...answers];
  const channel: Duplex = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => {
      channel.push(left.shift() ?? null);
      done();
    },
  });
  return channel;
}

const packet = (build: (writer: Writer) => Writer): Uint8Array =>
  Uint8Array.from(new Writer().string(build(new Writer()).bytes()).bytes());
const version = packet((writer) => writer.u8(2).u32(3));
const handle = packet((writer) => writer.u8(102).u32(1).string("h"));
const data = (id: number, bytes: Uint8Array | string): Uint8Array =>
  packet((writer) => writer.u8(103).u32(id).string(bytes));
const status = (id: number, number: number): Uint8Array =>
  packet((writer) => writer.u8(101).u32(id).u32(number).string("no").string(""));

test("answers in pieces, and several in one", async () => {
  const whole = [version, handle, data(2, "ab"), data(3, "c"), status(4, 1)];
  assert.deepEqual(await readOverSftp(scripted(whole), "f", 9), Buffer.from("abc"));
  const ahead = Buffer.concat(whole);
  assert.deepEqual(await readOverSftp(scripted([ahead]), "f", 9), Buffer.from("abc"));
  const bytewise = [...ahead].map((byte) => Uint8Array.of(byte));
  const channel: Duplex = new Duplex({
    read: () => void channel.push(bytewise.shift() ?? null),
    write: (_c, _e, done) => done(),
  });
  assert.deepEqual(await readOverSftp(channel, "f", 9), Buffer.from("abc"));
});

const nonsense: readonly [string, readonly Uint8Array[]][] = [
  ["nothing", []],
  ["an end in the midst", [version, handle, data(2, "ab")]],
  ["no version", [handle]],
  ["another number", [version, packet((writer) => writer.u8(102).u32(7).string("h"))]],
  ["a handle that is too long", [version, packet((writer) => writer.u8(102).u32(1).string("h".repeat(257)))]],
  ["permission denied", [version, status(1, 3)]],
  ["no data", [version, handle, data(2, "")]],
  ["more than is allowed", [version, handle, data(2, "0123456789")]],
  ["an answer of another kind", [version, handle, handle]],
  ["an answer without end", [Buffer.from([0x7f, 0, 0, 0])]],
  ["an answer that is too short", [Buffer.from([0, 0, 0, 1, 2])]],
  ["a text cut short", [version, packet((writer) => writer.u8(102).u32(1).u32(9))]],
];
for (const [what, answers] of nonsense) {
  test(`an upstream that gives ${what}`, async () => {
    await assert.rejects(readOverSftp(scripted(answers), "f", 9), code("UPSTREAM_FILE_UNREADABLE"));
  });
}
