import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import * as openssh from "./openssh.ts";
import * as requests from "./requests.ts";

const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value));

/** One codec: its bytes as RFC 4254 or PROTOCOL write them, and the value they mean. */
interface Case {
  readonly name: string;
  readonly hex: string;
  readonly encode: () => Uint8Array;
  readonly decode: (data: Uint8Array) => unknown;
  readonly value: unknown;
}

function codec<T>(
  name: string,
  hex: string,
  value: T,
  encode: (value: T) => Uint8Array,
  decode: (d: Uint8Array) => T,
): Case {
  return { name, hex: hex.replaceAll(" ", ""), encode: () => encode(value), decode, value };
}

const cases: readonly Case[] = [
  codec(
    "pty-req",
    "00000005 787465726d 00000050 00000018 00000280 000001e0 00000001 00",
    { term: "xterm", columns: 80, rows: 24, widthPixels: 640, heightPixels: 480, modes: Uint8Array.of(0) },
    requests.encodePtyRequest,
    requests.decodePtyRequest,
  ),
  codec(
    "env",
    "00000004 4c414e47 00000001 ff",
    { name: "LANG", value: Uint8Array.of(0xff) },
    requests.encodeEnvRequest,
    requests.decodeEnvRequest,
  ),
  codec("exec", "00000002 6c73", text("ls"), requests.encodeExecRequest, requests.decodeExecRequest),
  codec(
    "subsystem",
    "00000004 73667470",
    "sftp",
    requests.encodeSubsystemRequest,
    requests.decodeSubsystemRequest,
  ),
  codec(
    "window-change",
    "00000051 00000019 00000001 00000002",
    { columns: 81, rows: 25, widthPixels: 1, heightPixels: 2 },
    requests.encodeWindowChange,
    requests.decodeWindowChange,
  ),
  codec("xon-xoff", "01", true, requests.encodeFlowControl, requests.decodeFlowControl),
  codec("signal", "00000003 494e54", "INT", requests.encodeSignalRequest, requests.decodeSignalRequest),
  codec("exit-status", "00000003", 3, requests.encodeExitStatus, requests.decodeExitStatus),
  codec(
    "exit-signal",
    "00000004 53454756 01 00000003 6f6f70 00000000",
    { signal: "SEGV", coreDumped: true, message: "oop" },
    requests.encodeExitSignal,
    requests.decodeExitSignal,
  ),
  codec("break", "000001f4", 500, requests.encodeBreakRequest, requests.decodeBreakRequest),
  codec(
    "x11-req",
    "00 00000001 70 00000002 6162 00000007",
    { singleConnection: false, protocol: "p", cookie: "ab", screen: 7 },
    requests.encodeX11Request,
    requests.decodeX11Request,
  ),
  codec(
    "tcpip-forward",
    "00000003 3a3a31 00001f90",
    { address: "::1", port: 8080 },
    requests.encodeAddressAndPort,
    requests.decodeAddressAndPort,
  ),
  codec("bound port", "0000c000", 49152, requests.encodeBoundPort, requests.decodeBoundPort),
  codec(
    "direct-tcpip",
    "00000001 68 00000016 00000001 6f 0000ffff",
    { host: "h", port: 22, originAddress: "o", originPort: 65535 },
    requests.encodeTcpipChannel,
    requests.decodeTcpipChannel,
  ),
  codec(
    "streamlocal-forward",
    "00000002 2f73",
    text("/s"),
    openssh.encodeStreamlocalForward,
    openssh.decodeStreamlocalForward,
  ),
  codec(
    "direct-streamlocal",
    "00000002 2f73 00000000 00000000",
    text("/s"),
    openssh.encodeDirectStreamlocal,
    openssh.decodeDirectStreamlocal,
  ),
  codec(
    "forwarded-streamlocal",
    "00000002 2f73 00000000",
    text("/s"),
    openssh.encodeForwardedStreamlocal,
    openssh.decodeForwardedStreamlocal,
  ),
  codec(
    "tun",
    "00000001 7fffffff",
    { mode: 1, unit: 0x7fff_ffff },
    openssh.encodeTunnelChannel,
    openssh.decodeTunnelChannel,
  ),
];

for (const { name, hex, encode, decode, value } of cases) {
  test(`${name} is written and read as specified`, () => {
    assert.equal(Buffer.from(encode()).toString("hex"), hex);
    assert.deepEqual(decode(Uint8Array.from(Buffer.from(hex, "hex"))), value);
  });

  test(`${name} with bytes missing is truncated, with a byte over has a trailing byte`, () => {
    const whole = Uint8Array.from(Buffer.from(hex, "hex"));
    for (let length = 0; length < whole.length; length++) {
      assert.throws(
        () => decode(whole.slice(0, length)),
        { code: "PEER_MESSAGE_TRUNCATED" },
        `${length} bytes`,
      );
    }
    assert.throws(() => decode(Uint8Array.of(...whole, 0)), { code: "PEER_MESSAGE_TRAILING" });
  });
}

test("an exec command and a path keep bytes that are not UTF-8", () => {
  const odd = Uint8Array.of(0xff, 0xfe);
  assert.deepEqual(requests.decodeExecRequest(requests.encodeExecRequest(odd)), odd);
  assert.deepEqual(openssh.decodeDirectStreamlocal(openssh.encodeDirectStreamlocal(odd)), odd);
});

test("terminal modes end at TTY_OP_END or at an opcode of unknown length", () => {
  const modes = new Map([
    [3, 127],
    [128, 38400],
  ]);
  assert.deepEqual(requests.decodeTerminalModes(requests.encodeTerminalModes(modes)), modes);
  assert.deepEqual(requests.decodeTerminalModes(Uint8Array.of(53, 0, 0, 0, 1, 0, 1, 2)), new Map([[53, 1]]));
  assert.deepEqual(requests.decodeTerminalModes(Uint8Array.of(53, 0, 0, 0, 1, 160, 1)), new Map([[53, 1]]));
  assert.deepEqual(requests.decodeTerminalModes(new Uint8Array(0)), new Map());
  assert.throws(() => requests.decodeTerminalModes(Uint8Array.of(53, 0, 0)), PosternError);
});

test("a list of host keys runs to the end of the data", () => {
  const blobs = [text("one"), text(""), text("three")];
  const data = openssh.encodeHostKeys(blobs);
  assert.deepEqual(openssh.decodeHostKeys(data), blobs);
  assert.throws(() => openssh.decodeHostKeys(data.slice(0, -1)), { code: "PEER_MESSAGE_TRUNCATED" });
  assert.throws(() => openssh.decodeHostKeys(Uint8Array.of(...data, 0)), { code: "PEER_MESSAGE_TRUNCATED" });
});
