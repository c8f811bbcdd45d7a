import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import * as messages from "#ssh/messages";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): Uint8Array => Buffer.from(value);

/** One row a message: its payload, its decoder, what the decoder must give; `open`: what follows the last field is the message's own. */
interface Row {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly decode: (payload: Uint8Array) => unknown;
  readonly value: unknown;
  readonly open?: boolean;
}

const kexInit: messages.KexInit = {
  cookie: new Uint8Array(16).fill(7),
  kex: ["curve25519-sha256", "ext-info-c"],
  hostKeys: ["ssh-ed25519"],
  ciphersToServer: ["aes128-gcm@openssh.com"],
  ciphersToClient: ["aes256-ctr", "aes128-ctr"],
  macsToServer: [],
  macsToClient: ["hmac-sha2-256"],
  compressionToServer: ["none"],
  compressionToClient: ["none", "zlib@openssh.com"],
  firstKexPacketFollows: true,
};

const requests: messages.UserauthRequest[] = [
  { user: "ä", service: "ssh-connection", method: "none" },
  { user: "u", service: "ssh-connection", method: "password", password: text("geheim") },
  {
    user: "u",
    service: "ssh-connection",
    method: "password",
    password: text("alt"),
    newPassword: text("neu"),
  },
  { user: "u", service: "ssh-connection", method: "publickey", algorithm: "ssh-ed25519", key: bytes(1, 2) },
  {
    user: "u",
    service: "ssh-connection",
    method: "publickey",
    algorithm: "ssh-ed25519",
    key: bytes(1, 2),
    signature: bytes(3),
  },
  {
    user: "u",
    service: "ssh-connection",
    method: "publickey",
    algorithm: "ssh-ed25519",
    key: bytes(1, 2),
    hostKey: bytes(9),
    signature: bytes(3),
  },
  { user: "u", service: "ssh-connection", method: "keyboard-interactive", submethods: "pam" },
];

const rows: Row[] = [
  {
    name: "UNIMPLEMENTED",
    payload: messages.encodeUnimplemented(0xffff_fffe),
    decode: messages.decodeUnimplemented,
    value: 0xffff_fffe,
  },
  {
    name: "SERVICE_REQUEST",
    payload: messages.encodeServiceRequest("ssh-userauth"),
    decode: messages.decodeService,
    value: "ssh-userauth",
  },
  {
    name: "EXT_INFO",
    payload: messages.encodeExtInfo(new Map([["server-sig-algs", text("ssh-ed25519")]])),
    decode: (payload) =>
      [...messages.decodeExtInfo(payload)].map(([name, value]) => [name, Buffer.from(value).toString()]),
    value: [["server-sig-algs", "ssh-ed25519"]],
  },
  {
    name: "PING",
    payload: messages.encodePing(bytes(1, 2, 3)),
    decode: messages.decodePing,
    value: bytes(1, 2, 3),
  },
  {
    name: "KEXINIT",
    payload: messages.encodeKexInit(kexInit),
    decode: messages.decodeKexInit,
    value: kexInit,
  },
  {
    name: "KEX_ECDH_INIT",
    payload: messages.encodeKexPublic(30, "string", bytes(0, 1)),
    decode: (payload) => messages.decodeKexPublic(payload, "string"),
    value: bytes(0, 1),
  },
  {
    name: "KEXDH_INIT",
    payload: messages.encodeKexPublic(30, "mpint", bytes(0x80, 1)),
    decode: (payload) => messages.decodeKexPublic(payload, "mpint"),
    value: bytes(0x80, 1),
  },
  {
    name: "KEX_ECDH_REPLY",
    payload: messages.encodeKexReply(31, "string", {
      hostKey: bytes(1),
      publicValue: bytes(2),
      signature: bytes(3),
    }),
    decode: (payload) => messages.decodeKexReply(payload, "string"),
    value: { hostKey: bytes(1), publicValue: bytes(2), signature: bytes(3) },
  },
  {
    name: "KEX_DH_GEX_REQUEST",
    payload: messages.encodeGexRequest({ min: 2048, preferred: 3072, max: 8192 }),
    decode: messages.decodeGexRequest,
    value: { min: 2048, preferred: 3072, max: 8192 },
  },
  {
    name: "KEX_DH_GEX_GROUP",
    payload: messages.encodeGexGroup({ prime: bytes(0xff, 1), generator: bytes(2) }),
    decode: messages.decodeGexGroup,
    value: { prime: bytes(0xff, 1), generator: bytes(2) },
  },
  ...requests.map((request, n) => ({
    name: `USERAUTH_REQUEST ${n} ${request.method}`,
    payload: messages.encodeUserauthRequest(request),
    decode: messages.decodeUserauthRequest,
    value: request,
  })),
  {
    name: "USERAUTH_FAILURE",
    payload: messages.encodeUserauthFailure({ methods: ["publickey", "password"], partialSuccess: true }),
    decode: messages.decodeUserauthFailure,
    value: { methods: ["publickey", "password"], partialSuccess: true },
  },
  {
    name: "USERAUTH_PK_OK",
    payload: messages.encodePublicKeyOk({ algorithm: "ssh-ed25519", key: bytes(5) }),
    decode: messages.decodePublicKeyOk,
    value: { algorithm: "ssh-ed25519", key: bytes(5) },
  },
  {
    name: "USERAUTH_PASSWD_CHANGEREQ",
    payload: messages.encodePasswordChangeRequest("neues Passwort"),
    decode: messages.decodePasswordChangeRequest,
    value: "neues Passwort",
  },
  {
    name: "USERAUTH_INFO_REQUEST",
    payload: messages.encodeInfoRequest({
      name: "n",
      instruction: "i",
      prompts: [{ text: "Code: ", echo: false }],
    }),
    decode: messages.decodeInfoRequest,
    value: { name: "n", instruction: "i", prompts: [{ text: "Code: ", echo: false }] },
  },
  {
    name: "USERAUTH_INFO_RESPONSE",
    payload: messages.encodeInfoResponse([text("123"), text("")]),
    decode: (payload) => messages.decodeInfoResponse(payload).map((each) => Buffer.from(each).toString()),
    value: ["123", ""],
  },
  {
    name: "GLOBAL_REQUEST",
    payload: messages.encodeGlobalRequest({ type: "tcpip-forward", wantReply: true, data: bytes(1) }),
    decode: messages.decodeGlobalRequest,
    value: { type: "tcpip-forward", wantReply: true, data: bytes(1) },
    open: true,
  },
  {
    name: "CHANNEL_OPEN",
    payload: messages.encodeChannelOpen({
      type: "session",
      channel: 1,
      window: 2,
      maxPacket: 3,
      data: bytes(4),
    }),
    decode: messages.decodeChannelOpen,
    value: { type: "session", channel: 1, window: 2, maxPacket: 3, data: bytes(4) },
    open: true,
  },
  {
    name: "CHANNEL_OPEN_CONFIRMATION",
    payload: messages.encodeChannelOpenConfirmation({
      recipient: 0,
      channel: 1,
      window: 2,
      maxPacket: 3,
      data: bytes(4),
    }),
    decode: messages.decodeChannelOpenConfirmation,
    value: { recipient: 0, channel: 1, window: 2, maxPacket: 3, data: bytes(4) },
    open: true,
  },
  {
    name: "CHANNEL_WINDOW_ADJUST",
    payload: messages.encodeWindowAdjust({ recipient: 3, bytes: 0xffff_ffff }),
    decode: messages.decodeWindowAdjust,
    value: { recipient: 3, bytes: 0xffff_ffff },
  },
  {
    name: "CHANNEL_DATA",
    payload: messages.encodeChannelData({ recipient: 3, data: bytes(1, 2) }),
    decode: messages.decodeChannelData,
    value: { recipient: 3, data: bytes(1, 2) },
  },
  {
    name: "CHANNEL_EXTENDED_DATA",
    payload: messages.encodeChannelData({ recipient: 3, dataType: 1, data: bytes(1, 2) }),
    decode: messages.decodeChannelData,
    value: { recipient: 3, dataType: 1, data: bytes(1, 2) },
  },
  {
    name: "CHANNEL_REQUEST",
    payload: messages.encodeChannelRequest({ recipient: 3, type: "exec", wantReply: false, data: bytes(1) }),
    decode: messages.decodeChannelRequest,
    value: { recipient: 3, type: "exec", wantReply: false, data: bytes(1) },
    open: true,
  },
];

/** Views and Buffers compare as plain bytes. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each: unknown) => {
      if (each instanceof Uint8Array) return Buffer.from(each).toString("hex");
      return each;
    }).replaceAll(/\{"type":"Buffer","data":\[([\d,]*)\]\}/g, (_match, list: string) =>
      JSON.stringify(Buffer.from(list === "" ? [] : list.split(",").map(Number)).toString("hex")),
    ),
  );
}

for (const row of rows) {
  test(`${row.name}: whole, each byte missing, one byte over`, () => {
    assert.deepEqual(plain(row.decode(row.payload)), plain(row.value));
    for (let end = 1; end < row.payload.length; end++) {
      const short = Uint8Array.from(row.payload.subarray(0, end));
      if (row.open === true && shortIsFine(row, short)) continue;
      assert.throws(() => row.decode(short), isTruncated, `cut at ${end}`);
    }
    if (row.open !== true) {
      const long = Uint8Array.from([...row.payload, 0]);
      assert.throws(
        () => row.decode(long),
        (error) => error instanceof PosternError && error.blame === "PEER",
      );
    }
  });
}

/** The last field of an open message is all that follows: cutting it gives a shorter one, not a broken message. */
function shortIsFine(row: Row, short: Uint8Array): boolean {
  return short.length === row.payload.length - 1;
}

function isTruncated(error: unknown): boolean {
  return error instanceof PosternError && error.code === "PEER_MESSAGE_TRUNCATED";
}

test("a disconnect is understood however its text is broken", () => {
  const whole = messages.encodeDisconnect({ reason: 11, description: "bye" });
  assert.deepEqual(messages.decodeDisconnect(whole), { reason: 11, description: "bye" });
  assert.deepEqual(messages.decodeDisconnect(whole.subarray(0, whole.length - 4)), {
    reason: 11,
    description: "bye",
  });
});

test("an unknown method of user authentication keeps its name, whatever follows", () => {
  const payload = messages.encodeUserauthRequest({
    user: "u",
    service: "s",
    method: "other",
    name: "gssapi-with-mic",
  });
  const longer = Uint8Array.from([...payload, 1, 2, 3]);
  assert.deepEqual(messages.decodeUserauthRequest(longer), {
    user: "u",
    service: "s",
    method: "other",
    name: "gssapi-with-mic",
  });
});

test("lists that announce more than they may are read no further than the bound", () => {
  const huge = Uint8Array.from([messages.MSG.EXT_INFO, 0xff, 0xff, 0xff, 0xff]);
  assert.throws(() => messages.decodeExtInfo(huge), isTruncated);
  const responses = Uint8Array.from([messages.MSG.USERAUTH_INFO_RESPONSE, 0xff, 0xff, 0xff, 0xff]);
  assert.throws(() => messages.decodeInfoResponse(responses), isTruncated);
});

test("message numbers have names for the log", () => {
  assert.equal(messages.messageName(90), "CHANNEL_OPEN (90)");
  assert.equal(messages.messageName(150), "message 150");
});

test("a message of data written into a buffer that is used again is the same message", () => {
  const buffer = Buffer.alloc(100, 255);
  for (const dataType of [undefined, 1]) {
    const message = { recipient: 3, data: bytes(1, 2, 3), ...(dataType === undefined ? {} : { dataType }) };
    const written = messages.encodeChannelDataInto(buffer, message);
    assert.deepEqual(Buffer.from(written), Buffer.from(messages.encodeChannelData(message)));
    assert.ok(written.length <= message.data.length + messages.channelDataHeadBytes);
  }
});

test("data are framed where they lie", () => {
  const whole = Buffer.from(`${"-".repeat(20)}some data${"+".repeat(5)}`).subarray(3);
  const framed = messages.frameChannelData(whole, 17, 26, 0x01020304);
  const message = { recipient: 0x01020304, data: Buffer.from("some data") };
  assert.deepEqual(Buffer.from(framed), Buffer.from(messages.encodeChannelData(message)));
  assert.equal(whole.subarray(0, 8).toString(), "--------");
  assert.equal(whole.subarray(26).toString(), "+++++");
});
