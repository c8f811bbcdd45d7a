/** Devices whose servers are particular: TLS of their own, names of their own, and fields behind the body. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2, sensitiveHeaders } from "node:http2";
import { createServer, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { selfSigned } from "#test/support/certificates";
import { domain, startWebStand, type WebStand } from "#test/support/device-web";
import { missing } from "#test/support/strangers";
import { within } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "curl");
let web: WebStand;
let secure: Server;
let heardNames: unknown[] = [];

function site(asked: IncomingMessage, response: ServerResponse): void {
  if (asked.url === "/moved") {
    response.writeHead(302, { Location: "http://panel.lan/there" }).end();
    return;
  }
  asked.resume();
  asked.once("end", () => {
    if (asked.url === "/trailers") {
      response.writeHead(200, { Trailer: "X-Sum" });
      response.write("body");
      response.addTrailers({ "X-Sum": "1234", "Set-Cookie": "evil=1" });
      response.end();
    } else response.end(JSON.stringify({ url: asked.url, trailers: asked.trailers }));
  });
}

before(async () => {
  if (skip !== false) return;
  web = await startWebStand({
    handler: site,
    web: {
      except: [
        { devices: ["safe1"], tls: true },
        { devices: ["tag:named"], host: "panel.lan", tls: true },
        { devices: ["panel1"], host: "panel.lan" },
      ],
    },
  });
  const { certificate, key } = await selfSigned(web.folder, "device", "some.device");
  secure = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (asked, response) => {
    heardNames.push((asked.socket as TLSSocket).servername);
    asked.pipe(response);
    if (asked.method === "GET") response.end(`safe ${asked.url}`);
  });
  secure.on("upgrade", (asked, socket, head) => {
    web.sockets.handleUpgrade(asked, socket, head, (joined) => joined.send("safe"));
  });
  secure.listen(0, "127.0.0.1");
  await once(secure, "listening");
  const { port } = secure.address() as AddressInfo;
  await web.device("safe1", "public", { to: port });
  await web.device("named1", "public", { to: port, tags: ["named"] });
  await web.device("wrong1", "public", { to: port });
  await web.device("panel1", "public");
  await web.device("open1", "public");
});
after(async () => {
  secure?.closeAllConnections();
  secure?.close();
  await web?.[Symbol.asyncDispose]();
});

test("a server that speaks TLS alone, with a certificate that nobody has signed", { skip }, async () => {
  for (const version of ["--http1.1", "--http2"]) {
    const got = await web.curl("safe1", "/a", [version]);
    assert.deepEqual([got.code, got.stdout.toString()], [0, "safe /a"]);
    const sent = await web.curl("safe1", "/b", [version, "--data-binary", "@-"], {
      stdin: { data: "x".repeat(300_000) },
    });
    assert.equal(sent.stdout.length, 300_000);
  }
  assert.deepEqual(new Set(heardNames), new Set([`safe1.${domain}`]));
  heardNames = [];
  assert.equal((await web.curl("named1", "/")).stdout.toString(), "safe /");
  assert.deepEqual(heardNames, ["panel.lan"]);
  // Without being told, it is asked in plain HTTP, which it does not speak.
  assert.match((await web.curl("wrong1", "/", ["-i"])).stdout.toString(), /^HTTP\/2 502/);
});

test("one that should speak TLS and does not is no proper answer", { skip }, async () => {
  await web.device("plain1", "public", { tags: ["named"] });
  assert.match((await web.curl("plain1", "/", ["-i"])).stdout.toString(), /^HTTP\/2 502/);
});

test("a redirect to the name that only the device and the gateway know leads to where it is", {
  skip,
}, async () => {
  assert.match((await web.curl("panel1", "/moved", ["-i"])).stdout.toString(), /^location: \/there\r$/m);
  assert.match(
    (await web.curl("open1", "/moved", ["-i"])).stdout.toString(),
    /^location: http:\/\/panel\.lan\/there\r$/m,
  );
});

const tls = (protocol: string): ConnectionOptions => ({
  host: "127.0.0.1",
  port: web.stand.gateway.port,
  servername: `open1.${domain}`,
  ALPNProtocols: [protocol],
  rejectUnauthorized: false,
});

test("fields behind the body pass, both ways, by HTTP/1.1", { skip }, async () => {
  const ask = async (
    path: string,
    trailers?: Record<string, string>,
  ): Promise<IncomingMessage & { text: string }> => {
    const sending = request({
      method: "POST",
      path,
      headers: { Host: `open1.${domain}`, ...(trailers === undefined ? {} : { Trailer: "X-Mine" }) },
      createConnection: () => connect(tls("http/1.1")),
    });
    sending.write("one");
    if (trailers !== undefined) sending.addTrailers(trailers);
    sending.end();
    const [answer] = (await within("an answer", once(sending, "response"))) as [IncomingMessage];
    let text = "";
    for await (const chunk of answer) text += String(chunk);
    return Object.assign(answer, { text });
  };
  const { text, trailers } = await ask("/trailers");
  assert.deepEqual([text, { ...trailers }], ["body", { "x-sum": "1234" }]);
  const told = await ask("/told", { "X-Mine": "5", "X-Forwarded-User": "root" });
  assert.deepEqual(JSON.parse(told.text), { url: "/told", trailers: { "x-mine": "5" } });
});

test("and by HTTP/2", { skip }, async () => {
  const session = connectHttp2(`https://open1.${domain}`, { createConnection: () => connect(tls("h2")) });
  try {
    const ask = async (path: string, more: Record<string, string> | undefined) => {
      const stream = session.request(
        { ":method": "POST", ":path": path, ":authority": `open1.${domain}` },
        { waitForTrailers: more !== undefined },
      );
      if (more !== undefined) stream.once("wantTrailers", () => stream.sendTrailers(more));
      let trailers: Record<string, unknown> = {};
      stream.once("trailers", (found) => {
        trailers = { ...found };
        Reflect.deleteProperty(trailers, sensitiveHeaders);
      });
      const over = once(stream, "close");
      stream.end("one");
      let text = "";
      await within(
        "an answer",
        (async () => {
          for await (const chunk of stream) text += String(chunk);
          await over;
        })(),
      );
      return { text, trailers };
    };
    assert.deepEqual(await ask("/trailers", undefined), { text: "body", trailers: { "x-sum": "1234" } });
    const { text } = await ask("/told", { "x-mine": "5" });
    assert.deepEqual(JSON.parse(text), { url: "/told", trailers: { "x-mine": "5" } });
    assert.equal((await ask("/plain", undefined)).text.includes("/plain"), true);
  } finally {
    session.destroy();
  }
});
