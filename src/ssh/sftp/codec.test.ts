import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeSftpHello,
  decodeSftpReply,
  decodeSftpRequest,
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  type FileAttrs,
  FX,
  FXF,
  FXP,
  kindOf,
  type SftpReply,
  type SftpRequest,
  shownPath,
  bytesOf,
} from "#ssh/sftp";
import { code } from "#test/support/decoder";

const attrs: FileAttrs = {
  size: 2n ** 40n,
  owner: { uid: 1, gid: 2 },
  permissions: 0o100644,
  times: { atime: 3, mtime: 4 },
  extended: [[Uint8Array.of(1), Uint8Array.of(2, 3)]],
};

const requests: readonly SftpRequest[] = [
  { kind: "open", id: 1, path: bytesOf("/ä"), flags: FXF.READ | FXF.WRITE, attrs },
  { kind: "close", id: 2, handle: "\0\xff" },
  { kind: "fstat", id: 3, handle: "h" },
  { kind: "readdir", id: 4, handle: "h" },
  { kind: "read", id: 5, handle: "h", offset: 2n ** 50n, length: 32768 },
  { kind: "write", id: 6, handle: "h", offset: 7n, length: 5 },
  { kind: "lstat", id: 7, path: "a" },
  { kind: "stat", id: 8, path: "a" },
  { kind: "opendir", id: 9, path: "a" },
  { kind: "remove", id: 10, path: "a" },
  { kind: "rmdir", id: 11, path: "a" },
  { kind: "realpath", id: 12, path: "." },
  { kind: "readlink", id: 13, path: "a" },
  { kind: "setstat", id: 14, path: "a", attrs: {} },
  { kind: "mkdir", id: 15, path: "a", attrs: { permissions: 0o755 } },
  { kind: "fsetstat", id: 16, handle: "h", attrs: { size: 0n } },
  { kind: "rename", id: 17, from: "a", to: "b" },
  { kind: "symlink", id: 18, target: "a", link: "b" },
  { kind: "posix-rename", id: 19, from: "a", to: "b" },
  { kind: "hardlink", id: 20, from: "a", to: "b" },
  { kind: "statvfs", id: 21, path: "a" },
  { kind: "fstatvfs", id: 22, handle: "h" },
  { kind: "fsync", id: 23, handle: "h" },
  { kind: "lsetstat", id: 24, path: "a", attrs: { times: { atime: 1, mtime: 2 } } },
  { kind: "expand-path", id: 25, path: "~" },
  { kind: "copy-data", id: 26, from: "a", fromOffset: 1n, length: 2n, to: "b", toOffset: 3n },
  { kind: "home-directory", id: 27, user: "ada" },
];

test("requests: encoded, decoded, and refused when a byte is missing or over", () => {
  for (const request of requests) {
    const packet = encodeSftpRequest(request);
    const more = request.kind === "write" ? request.length : 0;
    assert.equal(Buffer.from(packet).readUInt32BE(), packet.length - 4 + more, request.kind);
    const body = packet.subarray(4);
    assert.deepEqual(decodeSftpRequest(body), request);
    for (let length = 0; length < body.length; length++)
      assert.throws(
        () => {
          const shorter = decodeSftpRequest(body.subarray(0, length));
          // Without its last fields an extended request is still one with an unknown name.
          assert.notEqual(shorter.kind, request.kind);
        },
        code("PEER_MESSAGE_TRUNCATED"),
        `${request.kind}: ${length} of ${body.length} bytes`,
      );
    assert.throws(
      () => decodeSftpRequest(Buffer.concat([body, Buffer.of(0)])),
      code("PEER_MESSAGE_TRAILING"),
    );
  }
});

test("requests that are not known keep their name", () => {
  const packet = Buffer.concat([Buffer.of(FXP.EXTENDED, 0, 0, 0, 9, 0, 0, 0, 1), Buffer.from("xyz")]);
  assert.deepEqual(decodeSftpRequest(packet), { kind: "other", id: 9, type: FXP.EXTENDED, name: "x" });
  assert.deepEqual(decodeSftpRequest(Buffer.of(99, 0, 0, 0, 1, 2)), {
    kind: "other",
    id: 1,
    type: 99,
    name: "",
  });
});

const replies: readonly SftpReply[] = [
  { kind: "handle", id: 2, handle: "\xff\0" },
  { kind: "data", id: 3, length: 7 },
  {
    kind: "name",
    id: 4,
    entries: [
      { name: "a", longname: "-rw a", attrs },
      { name: "b", longname: "", attrs: {} },
    ],
  },
  { kind: "attrs", id: 5, attrs },
];

test("replies: encoded, decoded, and refused when a byte is missing or over", () => {
  for (const reply of replies) {
    const packet = encodeSftpReply(reply);
    const more = reply.kind === "data" ? reply.length : 0;
    assert.equal(Buffer.from(packet).readUInt32BE(), packet.length - 4 + more);
    const body = packet.subarray(4);
    for (let length = 0; length < body.length; length++)
      assert.throws(() => decodeSftpReply(body.subarray(0, length)), code("PEER_MESSAGE_TRUNCATED"));
    assert.throws(() => decodeSftpReply(Buffer.concat([body, Buffer.of(0)])), code("PEER_MESSAGE_TRAILING"));
    assert.deepEqual(decodeSftpReply(body), reply);
  }
});

test("a status may come without words", () => {
  const whole: SftpReply = { kind: "status", id: 1, code: FX.FAILURE, message: "words" };
  assert.deepEqual(decodeSftpReply(encodeSftpReply(whole).subarray(4)), whole);
  const bare = Buffer.of(FXP.STATUS, 0, 0, 0, 1, 0, 0, 0, 4);
  assert.deepEqual(decodeSftpReply(bare), { ...whole, message: "" });
  assert.throws(() => decodeSftpReply(bare.subarray(0, 8)), code("PEER_MESSAGE_TRUNCATED"));
});

test("a count of names is not believed", () => {
  const packet = Buffer.of(FXP.NAME, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff);
  assert.throws(() => decodeSftpReply(packet), code("PEER_MESSAGE_TRUNCATED"));
});

test("beginnings", () => {
  const hello = { version: 3, extensions: [["statvfs@openssh.com", "2"]] } as const;
  const packet = encodeSftpHello(FXP.VERSION, hello).subarray(4);
  assert.deepEqual(decodeSftpHello(packet), hello);
  assert.deepEqual(decodeSftpHello(encodeSftpHello(FXP.INIT).subarray(4)), { version: 3, extensions: [] });
  for (const length of [1, 4, 6, 20, packet.length - 1])
    assert.throws(() => decodeSftpHello(packet.subarray(0, length)), code("PEER_MESSAGE_TRUNCATED"));
  const many = encodeSftpHello(FXP.INIT, {
    extensions: Array.from({ length: 65 }, () => ["a", "b"] as const),
  });
  assert.throws(() => decodeSftpHello(many.subarray(4)), code("PEER_FIELD_INVALID"));
});

test("kinds of files", () => {
  assert.equal(kindOf({ permissions: 0o040755 }), "directory");
  assert.equal(kindOf({ permissions: 0o100644 }), "file");
  assert.equal(kindOf({ permissions: 0o120777 }), "link");
  assert.equal(kindOf({ permissions: 0o010644 }), "other");
  assert.equal(kindOf({ permissions: 0o644 }), undefined);
  assert.equal(kindOf({}), undefined);
});

test("paths are bytes, and shown as UTF-8", () => {
  assert.equal(bytesOf("ä").length, 2);
  assert.equal(shownPath(bytesOf("ä")), "ä");
  assert.equal(shownPath("\xff"), "\ufffd");
});
