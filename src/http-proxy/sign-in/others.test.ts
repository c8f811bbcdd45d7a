import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import type { Identity, PeerAddress, SignInProvider, WaitingLogin } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import type { Fields } from "../fields.ts";
import { SignIns } from "./sign-ins.ts";
import { type Seen, SignInSteps } from "./steps.ts";
import { maxWrongCodes } from "./tries.ts";

const identity: Identity = { provider: "p", subject: "s", who: "ada", by: "oidc", claims: {} };
const from: PeerAddress = { ip: "198.51.100.7", text: "198.51.100.7:2" };
const address = "https://login.d";

/** Three processes of one gateway, joined as the supervisor joins them: what passes between them can be cloned. */
function start() {
  const clock = new FakeClock();
  const all = new Map<number, { readonly signIns: SignIns; readonly steps: SignInSteps }>();
  const asked: string[] = [];
  for (const here of [1, 2, 3]) {
    const signIns = new SignIns(clock, {
      here,
      take: async (step, seen, at) => {
        asked.push(`${here} asks ${at ?? "all"} ${step.kind}`);
        for (const [number, other] of all) {
          if (number === here || (at !== undefined && at !== number)) continue;
          const page = await other.steps.takeHere(structuredClone(step), structuredClone(seen));
          if (page !== undefined) return structuredClone(page);
        }
        return undefined;
      },
      ticket: async (name, at) =>
        await Promise.resolve(structuredClone(all.get(at)?.signIns.handedOver.take(name))),
      wrongCode: (who) => {
        for (const [number, other] of all) if (number !== here) other.signIns.wrongCodes.count(who);
      },
    });
    all.set(here, { signIns, steps: new SignInSteps({ log: silentLog, signIns }) });
  }
  const at = (number: number): { readonly signIns: SignIns; readonly steps: SignInSteps } => {
    const found = all.get(number);
    assert.ok(found !== undefined);
    return found;
  };
  let states = 0;
  const provider: SignInProvider = {
    id: "p",
    title: "idp.example",
    wants: { scopes: [], claims: [] },
    begin: (callback, _, mark) => {
      assert.equal(callback, `${address}/callback/idp.example`);
      const state = `${mark}state${states++}`;
      const to = `https://idp.example/auth?state=${state}`;
      return Promise.resolve({ address: to, state, finish: () => Promise.resolve(identity) });
    },
  };
  return { at, asked, provider };
}

function cookieIn(fields: Fields | undefined): string {
  return fields?.find(([name]) => name === "Set-Cookie")?.[1].split(";")[0] ?? "";
}

function locationIn(fields: Fields | undefined): URL {
  return new URL(fields?.find(([name]) => name === "Location")?.[1] ?? "", address);
}

const seenWith = (cookie: string): Seen => ({ fields: cookie === "" ? [] : [["Cookie", cookie]], from });

test("a login waits in one process, and each step of the browser comes to another", async () => {
  const { at, asked, provider } = start();
  const told: string[] = [];
  const login: WaitingLogin = {
    user: "ada",
    from,
    provider,
    sameNetwork: true,
    mayBe: () => true,
    settle: ({ who }) => void told.push(who),
    refuse: () => void told.push("refused"),
    fail: () => void told.push("failed"),
  };
  using open = at(2).signIns.desk(address).open(login);
  assert.ok(open !== undefined);
  const onward = await at(1).steps.take({ kind: "code", typed: open.code.toLowerCase() }, seenWith(""));
  const [, state = ""] = /state=([\w.]+)/.exec(onward.text) ?? [];
  assert.equal(state, "2.state0");
  const cookie = cookieIn(onward.fields);
  const back = { kind: "back", path: "/callback/idp.example", query: `code=c&state=${state}` } as const;
  // In another browser it is worth nothing, and is not spent.
  assert.equal((await at(3).steps.take(back, seenWith(""))).status, 403);
  const question = locationIn((await at(3).steps.take(back, seenWith(cookie))).fields);
  const name = question.searchParams.get("login") ?? "";
  assert.match(name, /^2\./);
  assert.match((await at(1).steps.take({ kind: "confirm", login: name }, seenWith(cookie))).text, /ada/);
  const decide = { kind: "decide", login: name, agreed: true } as const;
  assert.equal((await at(3).steps.take(decide, seenWith(cookie))).status, 200);
  assert.deepEqual(told, ["ada"]);
  assert.equal((await at(1).steps.take(decide, seenWith(cookie))).status, 400, "once");
  assert.deepEqual(asked, [
    "1 asks all code",
    "3 asks 2 back",
    "3 asks 2 back",
    "1 asks 2 confirm",
    "3 asks 2 decide",
    "1 asks 2 decide",
  ]);
});

test("a page's login: begun in one process, at the provider by another, taken in a third, once", async () => {
  const { at, provider } = start();
  const binding = Buffer.from("a browser at the device's host");
  const page = { place: "kiosk7.d", binding, provider, address, next: "/x" };
  const login = at(1).signIns.asked.put(page, from);
  const sent = await at(2).steps.take({ kind: "start", login }, seenWith(""));
  const state = locationIn(sent.fields).searchParams.get("state") ?? "";
  assert.match(state, /^1\./);
  const back = { kind: "back", path: "/callback/idp.example", query: `code=c&state=${state}` } as const;
  const { fields } = await at(3).steps.take(back, seenWith(cookieIn(sent.fields)));
  const ticket = locationIn(fields).searchParams.get("ticket") ?? "";
  const taken = await at(2).signIns.ticket(ticket);
  assert.deepEqual([taken?.place, taken?.next, taken?.identity], ["kiosk7.d", "/x", identity]);
  assert.deepEqual(Buffer.from(taken?.binding ?? []), binding);
  assert.equal(await at(3).signIns.ticket(ticket), undefined);
});

test("names of processes that are not there, and codes that nobody was shown, come to nothing; wrong codes count for all", async () => {
  const { at } = start();
  for (const login of ["9.x", "2.x", "", "2", "x.2", "99999.x"]) {
    assert.equal((await at(1).steps.take({ kind: "start", login }, seenWith(""))).status, 400, login);
    assert.equal(await at(1).signIns.ticket(login), undefined);
  }
  const guess = async (number: number): Promise<string> =>
    (await at(number).steps.take({ kind: "code", typed: "BCDF-GHJK" }, seenWith(""))).text;
  for (let n = 0; n < maxWrongCodes; n++)
    assert.match(await guess((n % 3) + 1), /Nobody waits with that code/);
  for (const number of [1, 2, 3]) assert.doesNotMatch(await guess(number), /Nobody waits with that code/);
});

test("wrong codes that come all at once count as those do that come one after the other", async () => {
  const { at, asked } = start();
  const guesses = Array.from({ length: 5 * maxWrongCodes }, () =>
    at(1).steps.take({ kind: "code", typed: "BCDF-GHJK" }, seenWith("")),
  );
  const pages = await Promise.all(guesses);
  assert.equal(pages.filter(({ status }) => status === 400).length, maxWrongCodes);
  assert.equal(asked.length, maxWrongCodes);
});

test("a right code, in another process, is none of the wrong ones", async () => {
  const { at, provider } = start();
  const login = { user: "ada", from, provider, sameNetwork: false, mayBe: () => true } as const;
  for (let n = 0; n < 2 * maxWrongCodes; n++) {
    using open = at(2)
      .signIns.desk(address)
      .open({ ...login, settle: () => {}, refuse: () => {}, fail: () => {} });
    assert.ok(open !== undefined);
    assert.equal((await at(1).steps.take({ kind: "code", typed: open.code }, seenWith(""))).status, 200);
  }
});

test("where nobody knows an address, nobody is in one network", async () => {
  const { at, provider } = start();
  const nowhere: PeerAddress = { text: "unix" };
  using open = at(1)
    .signIns.desk(address)
    .open({
      user: "ada",
      from: nowhere,
      provider,
      sameNetwork: true,
      mayBe: () => true,
      settle: () => {},
      refuse: () => {},
      fail: () => {},
    });
  assert.ok(open !== undefined);
  const seen: Seen = { fields: [], from: nowhere };
  assert.equal((await at(1).steps.take({ kind: "code", typed: open.code }, seen)).status, 403);
});
