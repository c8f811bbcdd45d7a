/** The gateway's own pages with a provider that does as it is told: what ends when, and what nobody can do. */
import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { PosternError, silentLog } from "#base";
import type { Identity, OpenSignIn, SignInProvider, WaitingLogin, WebClient } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import type { Asked, Reply } from "../asked.ts";
import type { Fields } from "../fields.ts";
import type { Visitor } from "../visitor.ts";
import { DeviceSignIn } from "./device.ts";
import { signInSchema } from "./schema.ts";
import { maxBrowsersPerNetwork, maxVisitsPerCode, SignIns } from "./sign-ins.ts";
import { SignInSite } from "./site.ts";
import { maxFinishing } from "./steps.ts";
import { maxWrongCodes } from "./tries.ts";

const isDown = new PosternError("UPSTREAM_TEST", { user: "It is down.", operator: "down" });
const isRefused = new PosternError("DENIED_TEST", { user: "It was refused.", operator: "refused" });

const config = signInSchema.parse({ address: "https://login.example" });

interface Said {
  readonly status: number;
  readonly location: string;
  readonly text: string;
}

/** One browser. */
class Person {
  readonly #site: SignInSite;
  readonly #ip: string;
  cookie = "";

  constructor(site: SignInSite, ip = "192.0.2.1") {
    this.#site = site;
    this.#ip = ip;
  }

  asked(method: string, path: string, body = "", more: Fields = [], authority = "login.example"): Asked {
    const cookies: Fields = this.cookie === "" ? [] : [["Cookie", this.cookie]];
    const said = { method, path, host: authority, authority, fields: [...cookies, ...more] };
    return { ...said, body: Readable.from([Buffer.from(body)]), length: body === "" ? "none" : "said" };
  }

  async ask(...words: Parameters<Person["asked"]>): Promise<Said> {
    const sink = new PassThrough();
    const chunks: Buffer[] = [];
    sink.on("data", (chunk: Buffer) => chunks.push(chunk));
    let status = 0;
    let location = "";
    const client = { desk: { from: { ip: this.#ip, text: `${this.#ip}:1` } }, serverName: "login.example" };
    const reply = {
      sink,
      begun: false,
      begin: (code: number, _: string, fields: Fields): void => {
        status = code;
        for (const [name, value] of fields) {
          if (name === "Location") location = value;
          if (name === "Set-Cookie") this.cookie = value.split(";")[0] ?? "";
        }
      },
      over: () => Promise.resolve(),
    } as unknown as Reply;
    const visitor = { client: client as unknown as WebClient } as Visitor;
    await this.#site.answer(this.asked(...words), reply, visitor);
    return { status, location, text: Buffer.concat(chunks).toString() };
  }

  async get(path: string): Promise<Said> {
    return await this.ask("GET", path);
  }

  async post(path: string, form: Readonly<Record<string, string>>): Promise<Said> {
    return await this.ask("POST", path, new URLSearchParams(form).toString());
  }

  /** To the provider and back, with the address that it came back to. */
  async enter(code: string): Promise<string> {
    const { status, text } = await this.post("/", { code });
    assert.equal(status, 200, text);
    const [, state = ""] = /state=(\w+)/.exec(text) ?? [];
    return `/callback/idp.example/realm?code=c&state=${state}`;
  }
}

function start(finish?: (query: string) => Promise<Identity>) {
  const clock = new FakeClock();
  const signIns = new SignIns(clock);
  const logged: unknown[] = [];
  const note = (event: string, fields?: object): void => void logged.push({ event, ...fields });
  const site = new SignInSite(config, { clock, log: { ...silentLog, info: note }, signIns });
  const begun: string[] = [];
  const identity: Identity = { provider: "p", subject: "s", who: "ada@<b>", by: "oidc", claims: {} };
  let states = 0;
  const provider: SignInProvider = {
    id: "p",
    title: "idp.example/realm",
    wants: { scopes: [], claims: [] },
    begin: (callback) => {
      begun.push(callback);
      const state = `state${states++}`;
      const address = `https://idp.example/auth?state=${state}`;
      return Promise.resolve({ address, state, finish: finish ?? (() => Promise.resolve(identity)) });
    },
  };
  const told: string[] = [];
  const login: WaitingLogin = {
    user: "ada<i>\u202e",
    from: { ip: "198.51.100.7", text: "198.51.100.7:2" },
    provider,
    sameNetwork: false,
    mayBe: () => true,
    settle: ({ who }) => void told.push(`settled ${who}`),
    refuse: () => void told.push("refused"),
    fail: (error) => void told.push(`failed ${(error as Error).message}`),
  };
  const open = (more: Partial<WaitingLogin> = {}): OpenSignIn => {
    const opened = signIns.desk(config.address).open({ ...login, ...more });
    assert.ok(opened !== undefined);
    return opened;
  };
  const person = (ip?: string): Person => new Person(site, ip);
  return { clock, signIns, site, provider, begun, told, logged, identity, open, person };
}

test("from the code to the end; whatever a name is, the page stays as it is", async () => {
  const { open, person, told, begun } = start();
  using waiting = open();
  assert.match(waiting.code, /^[A-Z]{4}-[A-Z]{4}$/);
  assert.equal(waiting.address, "https://login.example/");
  const ada = person();
  const shown = await ada.get(`/?code=${waiting.code}`);
  assert.match(shown.text, new RegExp(`value="${waiting.code}"`));
  const back = await ada.get(await ada.enter(waiting.code));
  assert.deepEqual(begun, ["https://login.example/callback/idp.example/realm"]);
  assert.equal(back.status, 303);
  const confirm = await ada.get(back.location);
  assert.match(confirm.text, /<dd id="user">ada&#60;i&#62;\?<\/dd>/);
  assert.match(confirm.text, /<dd id="who">ada@&#60;b&#62;<\/dd>/);
  assert.match(confirm.text, /<dd id="from">198\.51\.100\.7<\/dd>/);
  assert.match(confirm.text, /another address than this browser, 192\.0\.2\.1/);
  const login = new URL(back.location, "https://login.example").searchParams.get("login") ?? "";
  assert.equal((await ada.post("/confirm", { login, answer: "yes" })).status, 200);
  assert.deepEqual(told, ["settled ada@<b>"]);
  // Its code is nobody's any more, before ssh has heard of it.
  assert.equal((await ada.post("/", { code: waiting.code })).status, 400);
});

test("any other answer than yes is a no", async () => {
  const { open, person, told } = start();
  for (const answer of ["no", "", "YES"]) {
    using waiting = open();
    const ada = person();
    const { location } = await ada.get(await ada.enter(waiting.code));
    const login = location.split("=")[1] ?? "";
    await ada.post("/confirm", { login, answer });
  }
  assert.deepEqual(told, ["refused", "refused", "refused"]);
});

test("who may not have the login is not asked, and ends it", async () => {
  const { open, person, told } = start();
  using waiting = open({ mayBe: () => false });
  const ada = person();
  const { status, text } = await ada.get(await ada.enter(waiting.code));
  assert.equal(status, 403);
  assert.match(text, /who may not log in here by this name/);
  assert.deepEqual(told, ["settled ada@<b>"]);
});

test("where the login says so, only a browser of its network may enter the code, and agree", async () => {
  const { open, person, told } = start();
  using waiting = open({ sameNetwork: true });
  const far = await person("192.0.2.1").post("/", { code: waiting.code });
  assert.equal(far.status, 403);
  assert.match(far.text, /only from the network that it comes from/);
  const near = person("198.51.100.7");
  const { location } = await near.get(await near.enter(waiting.code));
  const login = location.split("=")[1] ?? "";
  const carried = person("192.0.2.1");
  carried.cookie = near.cookie;
  assert.equal((await carried.post("/confirm", { login, answer: "yes" })).status, 403);
  assert.deepEqual(told, []);
  assert.equal((await near.post("/confirm", { login, answer: "yes" })).status, 200);
  assert.deepEqual(told, ["settled ada@<b>"]);
});

test("a code can be begun a few times, and decided once", async () => {
  const { open, person, told } = start();
  using waiting = open();
  const browsers = Array.from({ length: maxVisitsPerCode }, () => person());
  const ways = [];
  for (const each of browsers) ways.push((await each.get(await each.enter(waiting.code))).location);
  assert.equal((await person().post("/", { code: waiting.code })).status, 400);
  for (const [at, each] of browsers.entries())
    await each.post("/confirm", { login: ways[at]?.split("=")[1] ?? "", answer: at === 0 ? "yes" : "no" });
  assert.deepEqual(told, ["settled ada@<b>"]);
});

test("everything has an end, also without anybody coming back", async () => {
  const { open, person, clock, provider, signIns } = start();
  using waiting = open();
  const ada = person();
  const back = await ada.enter(waiting.code);
  clock.advance(600_000);
  assert.equal((await ada.get(back)).status, 400);
  const { location } = await ada.get(await ada.enter(waiting.code));
  clock.advance(600_000);
  assert.equal((await ada.get(location)).status, 400);
  const device = new DeviceSignIn(config, signIns);
  const from = { ip: "192.0.2.1", text: "" };
  const page = device.begin(ada.asked("GET", "/", "", [], "kiosk7.d"), from, provider, "/x");
  clock.advance(60_000);
  const name = /login=(\S+)/.exec(page.fields?.[0]?.[1] ?? "")?.[1] ?? "";
  assert.equal((await ada.get(`/start?login=${name}`)).status, 400);
});

test("a provider that fails, before or after: told here and at the terminal", async () => {
  const failing = start(() => Promise.reject(isRefused));
  using waiting = failing.open();
  const ada = failing.person();
  const { status, text } = await ada.get(await ada.enter(waiting.code));
  assert.deepEqual([status, /It was refused/.test(text)], [502, true]);
  assert.equal(failing.told.length, 1);
  const down = start();
  const provider = { ...down.provider, begin: () => Promise.reject(isDown) };
  using second = down.open({ provider });
  const page = await down.person().post("/", { code: second.code });
  assert.deepEqual([page.status, /It is down/.test(page.text)], [502, true]);
  assert.match(down.told.join(), /^failed /);
});

test("a provider that never answers holds up a bounded number", async () => {
  const { open, person, signIns } = start(() => new Promise(() => {}));
  for (let at = 0; at < maxFinishing; at++) {
    const each = person(`192.0.2.${at}`);
    const code = open().code;
    const way = await each.enter(code);
    void each.get(way);
    assert.ok(signIns.waiting(code) !== undefined);
  }
  const last = person("198.51.100.1");
  assert.equal((await last.get(await last.enter(open().code))).status, 503);
});

test("a flood of one network drives out its own, and nobody else's", async () => {
  const { open, person } = start();
  using waiting = open();
  const ada = person("192.0.2.1");
  const back = await ada.enter(waiting.code);
  const crowd = person("198.51.100.1");
  const first = await crowd.enter(open().code);
  for (let at = 0; at < maxBrowsersPerNetwork; at++) await crowd.enter(open().code);
  assert.equal((await crowd.get(first)).status, 400);
  assert.equal((await ada.get(back)).status, 303);
});

test("wrong codes of one network are counted, for ten minutes", async () => {
  const { open, person, clock } = start();
  using waiting = open();
  const guesser = person("2001:db8::1");
  for (let at = 0; at < maxWrongCodes; at++)
    assert.equal((await guesser.post("/", { code: "BBBB-BBBB" })).status, 400);
  assert.equal((await person("2001:db8::2").post("/", { code: waiting.code })).status, 429);
  assert.equal((await person("2001:db8:0:1::2").post("/", { code: waiting.code })).status, 200);
  clock.advance(600_000);
  assert.equal((await guesser.post("/", { code: waiting.code })).status, 200);
});

test("two cookies, a short one, another one: none of them is the browser's", async () => {
  const { open, person } = start();
  using waiting = open();
  const ada = person();
  const back = await ada.enter(waiting.code);
  const own = ada.cookie;
  for (const cookie of ["", `${own}; ${own}`, own.slice(0, -1), `${own.slice(0, -1)}!`, own.toLowerCase()]) {
    ada.cookie = cookie;
    assert.equal((await ada.get(back)).status, 403, cookie);
  }
  ada.cookie = `a=b; ${own}`;
  assert.equal((await ada.get(back)).status, 303);
});

test("pages that there are not, methods that are not known", async () => {
  const ada = start().person();
  for (const path of ["/x", "/callback", "/confirm/x", "/start/x", "//", "/.postern/login"])
    assert.equal((await ada.get(path)).status, 404, path);
  for (const path of ["/start", "/confirm", "/callback/", "/callback/x?state=a"])
    assert.equal((await ada.get(path)).status, 400, path);
  assert.equal((await ada.ask("HEAD", "/")).status, 405);
  assert.equal((await ada.post("/start", {})).status, 404);
});

test("a device's ticket: for its host, its browser, once, and not for long", async () => {
  const { person, provider, signIns, clock, identity } = start();
  const device = new DeviceSignIn(config, signIns);
  const from = { ip: "192.0.2.1", text: "" };
  const there = (cookie: string, authority = "kiosk7.d:8443"): Asked => {
    const one = person();
    one.cookie = cookie;
    return one.asked("GET", "/", "", [], authority);
  };
  const ticket = async (): Promise<[string, string]> => {
    const page = device.begin(there(""), from, provider, "/x");
    const [location = "", cookie = ""] = page.fields?.map(([, value]) => value) ?? [];
    const ada = person();
    const { location: out } = await ada.get(new URL(location).pathname + new URL(location).search);
    const state = new URL(out).searchParams.get("state") ?? "";
    const { location: back } = await ada.get(`/callback/idp.example/realm?code=c&state=${state}`);
    const url = new URL(back);
    assert.equal(url.origin + url.pathname, "https://kiosk7.d:8443/.postern/signed-in");
    return [url.searchParams.get("ticket") ?? "", cookie.split(";")[0] ?? ""];
  };
  const [one, cookie] = await ticket();
  assert.deepEqual(await device.finish(there(cookie), one), { identity, next: "/x" });
  assert.equal(await device.finish(there(cookie), one), undefined);
  const [two, second] = await ticket();
  assert.equal(await device.finish(there(second, "kiosk8.d:8443"), two), undefined);
  assert.equal(await device.finish(there(second), two), undefined);
  const [three] = await ticket();
  assert.equal(await device.finish(there(cookie), three), undefined);
  const [four, fourth] = await ticket();
  clock.advance(60_000);
  assert.equal(await device.finish(there(fourth), four), undefined);
});

test("where devices are at paths of one host, a ticket is for one of these", async () => {
  const { person, provider, signIns, identity } = start();
  const device = new DeviceSignIn(config, signIns);
  const from = { ip: "192.0.2.1", text: "" };
  const ada = person();
  const at = (prefix: string, cookie = ""): Asked => {
    const one = person();
    one.cookie = cookie;
    return { ...one.asked("GET", "/", "", [], "gate.d"), prefix };
  };
  const ticket = async (): Promise<[string, string]> => {
    const page = device.begin(at("/d/kiosk7"), from, provider, "/x");
    const [location = "", cookie = ""] = page.fields?.map(([, value]) => value) ?? [];
    const { location: out } = await ada.get(new URL(location).pathname + new URL(location).search);
    const state = new URL(out).searchParams.get("state") ?? "";
    const { location: back } = await ada.get(`/callback/idp.example/realm?code=c&state=${state}`);
    assert.match(back, /^https:\/\/gate\.d\/d\/kiosk7\/\.postern\/signed-in\?ticket=/);
    return [new URL(back).searchParams.get("ticket") ?? "", cookie.split(";")[0] ?? ""];
  };
  const [one, cookie] = await ticket();
  assert.equal(await device.finish(at("/d/kiosk8", cookie), one), undefined);
  const [two, second] = await ticket();
  assert.deepEqual(await device.finish(at("/d/kiosk7", second), two), { identity, next: "/x" });
});

test("an address is a host by https, and nothing else", () => {
  assert.equal(
    signInSchema.parse({ address: "https://Login.example:8443/" }).address,
    "https://login.example:8443",
  );
  for (const address of [
    "http://login.example",
    "https://login.example/x",
    "https://a@login.example",
    "https://login.example?x",
    "https://[::1]",
    "login.example",
    "",
  ])
    assert.ok(!signInSchema.safeParse({ address }).success, address);
});
