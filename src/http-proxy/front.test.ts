import assert from "node:assert/strict";
import { duplexPair, type Duplex, PassThrough } from "node:stream";
import { test } from "node:test";
import { silentLog } from "#base";
import type { AuditRecord, Device, WebAnswer, WebDesk, WebQuestion } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import { DeviceSite } from "./device-site.ts";
import { SiteFront } from "./front.ts";
import { type WebConfig, webSchema } from "./schema.ts";

function deviceOf(name: string, web: Device["web"], more: Partial<Device> = {}): Device {
  return {
    id: `id-${name}`,
    name,
    fingerprint: "",
    key: "",
    state: "approved",
    tags: [],
    ports: [80],
    web,
    createdAtMs: 0,
    cameBy: "pending",
    ...more,
  };
}

interface Stand {
  readonly clock: FakeClock;
  readonly web: SiteFront;
  readonly audit: Partial<AuditRecord>[];
  readonly asked: WebQuestion[];
  /** The device's ends of the streams that were opened. */
  readonly opened: Duplex[];
  /** A client with no TLS around it, or in that of a host. */
  readonly client: (serverName?: string, certificate?: readonly string[]) => Client;
}

interface Client {
  readonly stream: Duplex;
  readonly text: () => string;
  readonly ended: Promise<void>;
  /** Waits until what came has this in it. */
  until(part: string): Promise<void>;
}

const devices = [
  deviceOf("open1", "public"),
  deviceOf("kiosk7", "login"),
  deviceOf("off1", "off"),
  deviceOf("pending1", "public", { state: "pending" }),
];

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function eventually(what: string, look: () => boolean): Promise<void> {
  for (let at = 0; at < 2000; at++) {
    if (look()) return;
    await turn();
  }
  throw new Error(`waited for ${what}`);
}

function start(
  more: Partial<Record<keyof WebConfig, unknown>> = {},
  answer: (question: WebQuestion) => WebAnswer = () => ({ kind: "refused", wants: ["login"], proven: false }),
  open: "at once" | "never" = "at once",
): Stand {
  const clock = new FakeClock();
  const config = webSchema.parse({ domain: "d.example", plain: "serve", ...more });
  const opened: Duplex[] = [];
  const audit: Partial<AuditRecord>[] = [];
  const asked: WebQuestion[] = [];
  const pages = new DeviceSite(config, {
    clock,
    devices: { byName: (name) => Promise.resolve(devices.find((each) => each.name === name)) },
    tunnels: {
      open: () => {
        if (open === "never") return new Promise(() => {});
        const [ours, theirs] = duplexPair();
        opened.push(theirs);
        return Promise.resolve(ours);
      },
    },
    key: () => Promise.resolve(Buffer.alloc(32, 1)),
  });
  const web = new SiteFront([pages], { clock, log: silentLog });
  return {
    clock,
    web,
    audit,
    asked,
    opened,
    client: (serverName, certificate) => {
      const [ours, theirs] = duplexPair();
      let text = "";
      // As sockets do.
      ours.once("end", () => ours.destroy());
      ours.once("close", () => theirs.destroy());
      ours.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      const desk: WebDesk = {
        signal: new AbortController().signal,
        from: { ip: "192.0.2.1", port: 5, text: "192.0.2.1:5" },
        audit: (event) => void audit.push(event),
        waysToLogIn: () => ({ passwords: true, providers: [] }),
        askWeb: (question) => {
          asked.push(question);
          return Promise.resolve(answer(question));
        },
      };
      const ended = web.serve(theirs, {
        desk,
        protocol: "http/1.1",
        ...(serverName === undefined ? {} : { serverName }),
        ...(certificate === undefined ? {} : { certificate }),
      });
      return {
        stream: ours,
        text: () => text,
        ended,
        until: async (part) => await eventually(part, () => text.includes(part)),
      };
    },
  };
}

const get = (host: string, path = "/", ...lines: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines, "", ""].join("\r\n");

test("without TLS, browsers are sent to https at the port that they came to", async () => {
  const { client } = start({ plain: "redirect" });
  for (const [host, place] of [
    ["open1.d.example", "open1.d.example"],
    ["OPEN1.d.example:80", "open1.d.example"],
    ["open1.d.example:", "open1.d.example"],
    ["open1.d.example:8443", "open1.d.example:8443"],
    ["open1.d.example:8080", "open1.d.example:8080"],
  ] as const) {
    const asking = client();
    asking.stream.write(get(host, "/a?b"));
    await asking.ended;
    assert.match(asking.text(), /^HTTP\/1\.1 308 /);
    assert.ok(asking.text().includes(`\r\nLocation: https://${place}/a?b\r\n`), asking.text());
  }
});

test("who says nothing, or never comes to the end of a head, is let go", async () => {
  const { client, clock } = start();
  const silent = client();
  clock.advance(60_000);
  await silent.ended;
  const slow = client();
  slow.stream.write("GET / HTTP/1.1\r\n");
  await turn();
  clock.advance(30_000);
  slow.stream.write("Host: open1");
  await turn();
  clock.advance(30_000);
  await slow.ended;
});

test("a request and its answer; and then the connection has its time between two", async () => {
  const { client, clock, opened, audit } = start();
  const visitor = client();
  visitor.stream.write(get("open1.d.example", "/x"));
  await eventually("a stream", () => opened.length === 1);
  let heard = "";
  opened[0]?.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  await eventually("the head", () => heard.endsWith("\r\n\r\n"));
  assert.match(heard, /^GET \/x HTTP\/1\.1\r\nHost: open1\.d\.example\r\nX-Forwarded-For: 192\.0\.2\.1\r\n/);
  assert.match(heard, /Connection: close\r\n\r\n$/);
  opened[0]?.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok");
  await visitor.until("\r\n\r\nok");
  assert.match(visitor.text(), /^HTTP\/1\.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n/);
  visitor.stream.write(get("open1.d.example", "/y"));
  await eventually("another stream", () => opened.length === 2);
  opened[1]?.end("HTTP/1.1 204 No Content\r\n\r\n");
  await visitor.until("204");
  await turn();
  clock.advance(60_000);
  await visitor.ended;
  assert.deepEqual(audit, [
    { event: "web", device: "open1", outcome: "opened", by: "public", rule: undefined, user: undefined },
  ]);
});

test("what was not approved, is off, or is nobody's, is all the same to a stranger", async () => {
  const { client, asked, opened } = start();
  const answers: string[] = [];
  for (const name of ["kiosk7", "off1", "pending1", "nobody"]) {
    const visitor = client();
    visitor.stream.write(get(`${name}.d.example`, "/", "Connection: close"));
    await visitor.ended;
    answers.push(visitor.text());
  }
  assert.match(answers[0] ?? "", /^HTTP\/1\.1 401 [\s\S]*WWW-Authenticate: Basic realm="Postern"/);
  assert.deepEqual(new Set(answers).size, 1);
  assert.deepEqual(
    asked.map(({ device }) => device?.name),
    ["kiosk7", undefined, undefined, undefined],
  );
  assert.equal(opened.length, 0);
});

test("a certificate lets in; another site's page may not use it", async () => {
  const allowed: WebAnswer = { kind: "allowed", rule: "crew" };
  const { client, asked, opened, audit } = start({}, ({ certificate }) =>
    certificate === undefined ? { kind: "refused", wants: ["certificate"], proven: false } : allowed,
  );
  const without = client("kiosk7.d.example");
  without.stream.write(get("kiosk7.d.example", "/", "Connection: close"));
  await without.ended;
  assert.match(without.text(), /^HTTP\/1\.1 403 [\s\S]*client certificate/);
  const foreign = client("kiosk7.d.example", ["CN:ada"]);
  foreign.stream.write(get("kiosk7.d.example", "/", "Sec-Fetch-Site: same-site", "Connection: close"));
  await foreign.ended;
  assert.match(foreign.text(), /^HTTP\/1\.1 403 [\s\S]*Another site/);
  assert.equal(opened.length, 0);
  const own = client("kiosk7.d.example", ["CN:ada"]);
  own.stream.write(get("kiosk7.d.example", "/", "Authorization: Basic ZGV2aWNlOng="));
  await eventually("a stream", () => opened.length === 1);
  let heard = "";
  opened[0]?.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  // It was not what let it in, so it is the device's own.
  await eventually("the head", () => heard.includes("Authorization: Basic ZGV2aWNlOng="));
  assert.deepEqual(asked.at(-1)?.certificate, ["CN:ada"]);
  assert.deepEqual(audit.at(-1), {
    event: "web",
    device: "kiosk7",
    outcome: "opened",
    by: "certificate",
    rule: "crew",
    user: undefined,
  });
  own.stream.destroy();
  await own.ended;
});

test("the login page's form gives a ticket, which lets in until its time is over", async () => {
  const { client, clock, opened, asked } = start({ sessionSeconds: "10m" }, ({ login, proof, device }) => {
    if (device !== undefined && proof?.user === "ada") return { kind: "allowed", rule: "web", proof };
    if (login?.user !== "ada" || Buffer.from(login.password).toString() !== "p w&")
      return { kind: "refused", wants: ["login"], proven: false };
    return device === undefined
      ? { kind: "refused", wants: ["login"], proven: true }
      : { kind: "allowed", rule: "web", proof: { user: "ada", rules: ["web"] } };
  });
  const post = async (name: string, form: string, ...lines: readonly string[]): Promise<string> => {
    const visitor = client(`${name}.d.example`);
    const head = [
      "POST /.postern/login HTTP/1.1",
      `Host: ${name}.d.example`,
      `Content-Length: ${form.length}`,
      "Connection: close",
      ...lines,
    ];
    visitor.stream.write(`${head.join("\r\n")}\r\n\r\n${form}`);
    await visitor.ended;
    return visitor.text();
  };
  const right = "user=ada&password=p+w%26&next=%2Fpage";
  assert.match(await post("kiosk7", "user=ada&password=x"), /^HTTP\/1\.1 401 [\s\S]*not right/);
  assert.match(await post("nobody", right), /^HTTP\/1\.1 404 [\s\S]*no such device/);
  assert.match(await post("kiosk7", right, "Origin: https://evil.example"), /^HTTP\/1\.1 403 /);
  assert.match(await post("kiosk7", `user=ada&password=${"x".repeat(9000)}`), /^HTTP\/1\.1 413 /);
  const said = await post("kiosk7", right);
  assert.match(said, /^HTTP\/1\.1 303 [\s\S]*Location: \/page\r\n/);
  const cookie = /Set-Cookie: (__Host-postern=[\w.-]+);/.exec(said)?.[1] ?? "";
  assert.notEqual(cookie, "");
  const visit = async (name: string): Promise<string> => {
    const visitor = client(`${name}.d.example`);
    visitor.stream.write(
      get(`${name}.d.example`, "/", `Cookie: a=1; ${cookie}`, "Accept: text/html", "Connection: close"),
    );
    const before = opened.length;
    await eventually("an answer", () => visitor.text() !== "" || opened.length > before);
    if (opened.length > before) visitor.stream.destroy();
    await visitor.ended;
    return opened.length > before ? "in" : (visitor.text().split("\r\n")[0] ?? "");
  };
  assert.equal(await visit("kiosk7"), "in");
  assert.deepEqual(asked.at(-1)?.proof, { user: "ada", rules: ["web"] });
  assert.equal(await visit("off1"), "HTTP/1.1 303 See Other");
  clock.advance(600_000);
  assert.equal(await visit("kiosk7"), "HTTP/1.1 303 See Other");
});

test("a tunnel that opens nothing, and an answer that does not begin, are given up", async () => {
  for (const open of ["never", "at once"] as const) {
    const { client, clock, audit } = start({ answerSeconds: "5s" }, undefined, open);
    const visitor = client();
    visitor.stream.write(get("open1.d.example"));
    await eventually("the request", () => audit.length > 0);
    await turn();
    await turn();
    clock.advance(5000);
    await visitor.until("</html>");
    assert.match(visitor.text(), /^HTTP\/1\.1 504 /);
    assert.deepEqual(audit.at(-1), {
      event: "web",
      device: "open1",
      outcome: "failed",
      reason: "UPSTREAM_WEB_SILENT",
    });
    visitor.stream.destroy();
    await visitor.ended;
  }
});

test("an answer in which nothing comes any more is cut off; one that goes on is not", async () => {
  const { client, clock, opened } = start({ idleSeconds: "10s" });
  const visitor = client();
  visitor.stream.write(get("open1.d.example"));
  await eventually("a stream", () => opened.length === 1);
  opened[0]?.pipe(new PassThrough()).resume();
  opened[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na");
  await visitor.until("\r\n\r\na");
  for (const letter of ["b", "c", "d"]) {
    clock.advance(9000);
    opened[0]?.write(letter);
    await visitor.until(letter);
  }
  clock.advance(10_000);
  await visitor.ended;
});

test("requests sent before their answers wait their turn, and are not without end", async () => {
  const { client, opened } = start();
  const visitor = client();
  visitor.stream.write(get("open1.d.example").repeat(40));
  await visitor.ended;
  assert.ok(opened.length <= 1);
});

test("who leaves while a device opens no stream gives its place back", async () => {
  const { client, audit } = start({ maxRequestsPerDevice: 1 }, undefined, "never");
  for (let at = 0; at < 3; at++) {
    const visitor = client();
    visitor.stream.write(get("open1.d.example"));
    await eventually("the request", () => audit.length > 0);
    await turn();
    visitor.stream.destroy();
    await visitor.ended;
    assert.deepEqual(
      audit.splice(0).filter((each) => JSON.stringify(each).includes("BUSY")),
      [],
    );
    await turn();
  }
});

test("behind a request that is refused nothing is read any more", async () => {
  const next = get("open1.d.example", "/next");
  for (const first of [
    "GET / HTTP/1.1\r\n\r\n",
    "GET http://open1.d.example/ HTTP/1.1\r\nHost: open1.d.example\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: open1.d.example\r\n\r\n",
    get("open1.d.example", "/", "Expect: wonders"),
    get("open1.d.example", "/", "Connection: upgrade", "Upgrade: h2c"),
  ]) {
    const { client, opened } = start();
    const visitor = client();
    visitor.stream.write(first + next);
    await visitor.ended;
    await turn();
    assert.equal(opened.length, 0, first);
    assert.doesNotMatch(visitor.text(), /^HTTP\/1\.1 2/);
  }
});
