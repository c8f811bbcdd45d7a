import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#base";
import { hopStand, take } from "#test/support/hop-stand";
import { addressBytesOf, decodeChoice, decodeLoginAnswer, decodeReply } from "./messages.ts";
import { socks5 } from "./socks5.ts";

const options = { timeoutMs: 5000, signal: new AbortController().signal };
const proxy = { kind: "socks5", address: { host: "proxy", port: 1080 } } as const;
const target = { host: "web1.lan", port: 22 };

test("a name goes to the proxy, and what follows its reply is the upstream's", async () => {
  const stand = hopStand();
  await using dialer = await socks5.create(proxy, stand.ports);
  const dialling = dialer.dial(target, options);
  const far = await stand.far();
  assert.equal((await take(far, 3)).toString("hex"), "050100");
  far.write(Buffer.from("0500", "hex"));
  const asked = await take(far, 5 + 8 + 2);
  assert.equal(asked.toString("hex"), `0501000308${Buffer.from("web1.lan").toString("hex")}0016`);
  // The reply in two parts, the second with bytes of what follows.
  far.write(Buffer.from("05000001", "hex"));
  far.write(Buffer.concat([Buffer.from("7f0000010016", "hex"), Buffer.from("SSH-2.0-x\r\n")]));
  const stream = await dialling;
  assert.deepEqual(stand.dialled, ["proxy:1080"]);
  assert.equal((await take(stream, 11)).toString(), "SSH-2.0-x\r\n");
  stream.write("up");
  assert.equal((await take(far, 2)).toString(), "up");
});

test("name and password, when the proxy wants them", async () => {
  const stand = hopStand();
  await using dialer = await socks5.create(
    { ...proxy, user: "ada", password: new Secret("pw") },
    stand.ports,
  );
  const dialling = dialer.dial({ host: "2001:db8::1", port: 8022 }, options);
  const far = await stand.far();
  assert.equal((await take(far, 4)).toString("hex"), "05020002");
  far.write(Buffer.from("0502", "hex"));
  assert.equal((await take(far, 8)).toString("hex"), "0103616461027077");
  far.write(Buffer.from("0100", "hex"));
  assert.equal((await take(far, 22)).toString("hex"), `0501000420010db8${"00".repeat(11)}011f56`);
  far.write(Buffer.from("05000003026162ffff", "hex"));
  assert.ok(!(await dialling).destroyed);
});

test("what the proxy refuses is told, and its connection is over", async () => {
  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [["05ff"], "UPSTREAM_PROXY_REFUSED", /it wants a login that we have not/],
    [["0502"], "UPSTREAM_PROXY_REFUSED", /it wants a login that we have not/],
    [["0500", "05050001000000000000"], "UPSTREAM_PROXY_REFUSED", /web1\.lan:22: the connection was refused/],
    [["0500", "05630001000000000000"], "UPSTREAM_PROXY_REFUSED", /reply 99/],
    [["0400"], "UPSTREAM_PROXY_ANSWER", /SOCKS 5/],
    [["0500", "0500000900"], "UPSTREAM_PROXY_ANSWER", /unknown type/],
  ];
  for (const [answers, code, message] of cases) {
    const stand = hopStand();
    await using dialer = await socks5.create(proxy, stand.ports);
    const dialling = dialer.dial(target, options);
    const far = await stand.far();
    for (const answer of answers) far.write(Buffer.from(answer, "hex"));
    await assert.rejects(dialling, { code, message });
    assert.ok(stand.near[0]?.destroyed);
  }
});

test("a proxy that hangs up, one that is silent and one that is given up", async () => {
  const stand = hopStand();
  await using dialer = await socks5.create(proxy, stand.ports);
  const hanging = dialer.dial(target, options);
  (await stand.far()).end();
  await assert.rejects(hanging, { code: "UPSTREAM_PROXY_REFUSED", message: /it closed the connection/ });
  await assert.rejects(dialer.dial(target, { ...options, timeoutMs: 1 }), { code: "UPSTREAM_TIMEOUT" });
  const over = new AbortController();
  const given = dialer.dial(target, { ...options, signal: over.signal });
  over.abort();
  await assert.rejects(given, { code: "UPSTREAM_UNREACHABLE" });
  await assert.rejects(dialer.dial({ host: "x".repeat(256), port: 22 }, options), {
    code: "UPSTREAM_PROXY_REFUSED",
  });
});

test("answers are read whole, byte by byte, and with a byte over", () => {
  const answers = [
    [decodeChoice, "0502"],
    [decodeLoginAnswer, "0100"],
    [decodeReply, "05000001c00002010016"],
    [decodeReply, `05000004${"00".repeat(18)}`],
    [decodeReply, "050000030261620016"],
  ] as const;
  for (const [decode, hex] of answers) {
    const bytes = Buffer.from(hex, "hex");
    for (let length = 0; length < bytes.length; length++)
      assert.equal(decode(bytes.subarray(0, length)), undefined, `${hex}, ${length} bytes`);
    assert.equal(decode(bytes)?.length, bytes.length);
    assert.equal(decode(Buffer.concat([bytes, Uint8Array.of(7)]))?.length, bytes.length);
  }
});

test("addresses as bytes", () => {
  const hex = (host: string): string | undefined => {
    const bytes = addressBytesOf(host);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
  };
  assert.equal(hex("192.0.2.1"), "c0000201");
  assert.equal(hex("::"), "00".repeat(16));
  assert.equal(hex("::ffff:192.0.2.1"), `${"00".repeat(10)}ffffc0000201`);
  assert.equal(hex("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
  assert.equal(hex("fe80::1%eth0"), `fe80${"00".repeat(13)}01`);
  assert.equal(hex("web1.lan"), undefined);
});
