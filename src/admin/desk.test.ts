import assert from "node:assert/strict";
import { test } from "node:test";
import { Cidr, silentLog } from "#base";
import type { AuditEvent, ProgramRequest } from "#contract";
import { ask, startAuthority, type TestAuthority } from "#test/support/devices";
import { type Act, acts } from "./acts.ts";
import { ApiDesk, maxApiBodyBytes } from "./desk.ts";
import { type ApiConfig, type ApiTokenConfig, apiSchema } from "./schema.ts";
import { apiTokenHash, newApiToken } from "./tokens.ts";
import { CountedTurns } from "./turns.ts";

const tokens = { reader: newApiToken(), decider: newApiToken(), maker: newApiToken() } as const;
const all = [
  { name: "reader", hash: apiTokenHash(tokens.reader), scopes: ["read"] },
  { name: "decider", hash: apiTokenHash(tokens.decider), scopes: ["read", "decide"] },
  { name: "maker", hash: apiTokenHash(tokens.maker), scopes: ["join-tokens"] },
];

interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Stand extends TestAuthority {
  readonly desk: ApiDesk;
  readonly audit: AuditEvent[];
  ask(
    token: string,
    method: string,
    path: string,
    body?: unknown,
    more?: Partial<ProgramRequest>,
  ): Promise<Answer>;
}

function start(more: Partial<ApiConfig> = {}): Stand {
  const authority = startAuthority({ maxPending: 3000 });
  const { clock, operator } = authority;
  const config = { ...apiSchema.parse({ host: "API.example.com", tokens: all }), ...more };
  const desk = new ApiDesk(config, {
    clock,
    log: silentLog,
    office: operator,
    ports: [22],
    turns: new CountedTurns(clock),
  });
  const audit: AuditEvent[] = [];
  return {
    ...authority,
    desk,
    audit,
    ask: async (token, method, path, body, request = {}) => {
      const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
      const answer = await desk.answer({
        method,
        path,
        authorization: `Bearer ${token}`,
        contentType: "application/json",
        hasBody: text !== "",
        body: (maxBytes) => Promise.resolve(text.length > maxBytes ? undefined : text),
        from: { text: "192.0.2.1:5000", ip: "192.0.2.1" },
        audit: (event) => void audit.push(event),
        ...request,
      });
      const { status, fields, text: said } = answer;
      return { status, fields: Object.fromEntries(fields), body: JSON.parse(said) as unknown };
    },
  };
}

const forbidden = (act: Act): string[] =>
  all.flatMap(({ name, scopes }) => (scopes.includes(act.scope) ? [] : [name]));

test("a whole life by HTTP, and what is answered is what the description says", async () => {
  const stand = start();
  const { code } = await ask(stand.enrolment, "aaa");
  const used = new Set<string>();
  const call = async (
    token: string,
    name: string,
    subject: string,
    body?: unknown,
    query = "",
  ): Promise<unknown> => {
    const act = acts.find((each) => each.name === name) ?? assert.fail(name);
    used.add(name);
    const path = act.path.replace(/\{\w+\}/, encodeURIComponent(subject)) + query;
    const { status, body: said } = await stand.ask(token, act.method, path, body);
    assert.equal(status, name === "make-join-token" ? 201 : 200, JSON.stringify(said));
    const checked = act.answer.safeParse(said);
    assert.ok(checked.success, `${name}: ${checked.error?.message}`);
    return said;
  };
  const { decider, maker, reader } = tokens;
  const waiting = (await call(reader, "list", "", undefined, "?state=pending")) as {
    devices: { code: string; id: string }[];
  };
  assert.deepEqual(
    waiting.devices.map((each) => each.code),
    [code],
  );
  await call(decider, "approve", code.toLowerCase(), { name: "kiosk7", tags: ["hall1"], ports: [22, 80] });
  await call(decider, "change", "kiosk7", { web: "login" });
  await call(decider, "rename", "kiosk7", { name: "kiosk8" });
  assert.partialDeepStrictEqual(await call(reader, "show", "kiosk8"), {
    name: "kiosk8",
    tags: ["hall1"],
    ports: [22, 80],
    web: "login",
    decidedBy: "api:decider",
    online: false,
  });
  await call(decider, "revoke", "kiosk8");
  const { log } = (await call(reader, "log", "kiosk8")) as { log: { event: string; by: string }[] };
  assert.deepEqual(
    log.map(({ event, by }) => [event, by]),
    [
      ["revoked", "api:decider"],
      ["renamed", "api:decider"],
      ["changed", "api:decider"],
      ["approved", "api:decider"],
      ["asked", "192.0.2.7"],
    ],
  );
  await call(decider, "remove", "kiosk8");
  const { code: second } = await ask(stand.enrolment, "bbb");
  await call(decider, "deny", second);
  const made = (await call(maker, "make-join-token", "", { uses: 3, names: "Kiosk*" })) as {
    id: string;
    token: string;
  };
  assert.partialDeepStrictEqual(made, { usesLeft: 3, names: "kiosk*", ports: [22] });
  const listed = (await call(reader, "list-join-tokens", "")) as { joinTokens: object[] };
  assert.equal(listed.joinTokens.length, 1);
  assert.ok(!JSON.stringify(listed).includes(made.token));
  await call(maker, "remove-join-token", made.id);
  assert.deepEqual([...used].sort(), acts.map(({ name }) => name).sort());
  // Whatever changed something is told, and nothing else; no token stands there.
  assert.deepEqual(
    stand.audit.map((event) =>
      event.event === "office" ? [event.outcome, event.by, event.act, event.device] : [],
    ),
    [
      ["done", "decider", "approve", "kiosk7"],
      ["done", "decider", "change", "kiosk7"],
      ["done", "decider", "rename", "kiosk8"],
      ["done", "decider", "revoke", "kiosk8"],
      ["done", "decider", "remove", "kiosk8"],
      ["done", "decider", "deny", undefined],
      ["done", "maker", "make-join-token", undefined],
      ["done", "maker", "remove-join-token", undefined],
    ],
  );
  for (const secret of [...Object.values(tokens), made.token])
    assert.ok(!JSON.stringify(stand.audit).includes(secret));
});

test("without its scope a token does nothing, of any act", async () => {
  const stand = start();
  const { code } = await ask(stand.enrolment, "aaa");
  for (const act of acts)
    for (const name of forbidden(act)) {
      const token = tokens[name as keyof typeof tokens];
      const path = act.path.replace(/\{\w+\}/, code);
      const { status, body } = await stand.ask(
        token,
        act.method,
        path,
        act.body === undefined ? undefined : {},
      );
      assert.deepEqual([status, (body as { code: string }).code], [403, "FORBIDDEN"], `${name} ${act.name}`);
      assert.partialDeepStrictEqual(stand.audit.at(-1), { outcome: "refused", by: name, act: act.name });
    }
  assert.equal((await stand.office.find(code)).state, "pending");
});

test("who has no token learns nothing, not even what there is", async () => {
  const stand = start();
  const plain = await stand.ask("postern_api_wrong", "GET", "/v1/devices");
  assert.equal(plain.status, 401);
  assert.match(plain.fields["WWW-Authenticate"] ?? "", /^Bearer /);
  const paths = ["/v1/devices/none", "/nothing", "/v1/openapi.json", "/v1/devices?limit=x"];
  for (const authorization of [
    undefined,
    "",
    "Bearer",
    `Basic ${tokens.reader}`,
    tokens.reader,
    `Bearer ${"x".repeat(300)}`,
  ])
    for (const path of paths)
      assert.deepEqual(
        await stand.ask("", "GET", path, undefined, { authorization }),
        plain,
        `${authorization} ${path}`,
      );
  assert.deepEqual(new Set(stand.audit.map(({ event }) => event)), new Set(["office"]));
});

test("a token that is over, or for elsewhere, is as good as none; the audit knows whose it was", async () => {
  const of = (more: Partial<ApiTokenConfig>): Stand => {
    const [first] = apiSchema.parse({ host: "a.example", tokens: all }).tokens;
    assert.ok(first);
    return start({ tokens: [{ ...first, ...more }] });
  };
  const over = of({ until: startAuthority().clock.now() + 1000 });
  over.clock.advance(999);
  assert.equal((await over.ask(tokens.reader, "GET", "/v1/devices")).status, 200);
  over.clock.advance(1);
  assert.equal((await over.ask(tokens.reader, "GET", "/v1/devices")).status, 401);
  assert.partialDeepStrictEqual(over.audit.at(-1), { by: "reader", reason: "the token's time is over" });
  const elsewhere = of({ from: [new Cidr("10.0.0.0/8")] });
  assert.equal((await elsewhere.ask(tokens.reader, "GET", "/v1/devices")).status, 401);
  const inside = { from: { text: "10.1.2.3:5", ip: "10.1.2.3" } };
  assert.equal((await elsewhere.ask(tokens.reader, "GET", "/v1/devices", undefined, inside)).status, 200);
  const nowhere = { from: { text: "unix" } };
  assert.equal((await elsewhere.ask(tokens.reader, "GET", "/v1/devices", undefined, nowhere)).status, 401);
});

test("each token has so many requests a minute, and no other pays for it", async () => {
  const stand = start({ requestsPerMinute: 2 });
  const list = async (token: string): Promise<number> =>
    (await stand.ask(token, "GET", "/v1/devices")).status;
  assert.deepEqual([await list(tokens.reader), await list(tokens.reader)], [200, 200]);
  const late = await stand.ask(tokens.reader, "GET", "/v1/devices");
  assert.deepEqual([late.status, late.fields["Retry-After"]], [429, "30"]);
  assert.equal(await list(tokens.decider), 200);
  stand.clock.advance(30_000);
  assert.deepEqual([await list(tokens.reader), await list(tokens.reader)], [200, 429]);
});

test("what cannot be read or done is said in one sentence, and changes nothing", async () => {
  const stand = start();
  const { code } = await ask(stand.enrolment, "aaa");
  const { code: other } = await ask(stand.enrolment, "bbb");
  await stand.office.approve(other, { name: "kiosk2" }, { by: "ada" });
  const { decider } = tokens;
  const cases: readonly (readonly [string, string, unknown, number, RegExp])[] = [
    ["GET", "/v1/devices?limit=0", undefined, 400, /limit/],
    ["GET", "/v1/devices?limit=501", undefined, 400, /limit/],
    ["GET", "/v1/devices?tag=a&tag=b", undefined, 400, /twice/],
    ["GET", "/v1/devices?what=a", undefined, 400, /what/],
    ["GET", "/v1/devices?after=zzz", undefined, 400, /after/],
    ["GET", "/v1/devices/none", undefined, 404, /no device/],
    ["GET", "/v1/devices/%zz", undefined, 400, /path/],
    ["GET", "/v1/devices/a/b/c", undefined, 404, /nothing/],
    ["GET", "/v1/devices/..%2f..%2fetc", undefined, 404, /no device/],
    ["PUT", `/v1/devices/${code}`, undefined, 405, /GET, PATCH, DELETE/],
    ["POST", `/v1/devices/${code}/approve`, "{", 400, /no JSON/],
    ["POST", `/v1/devices/${code}/approve`, '{"tags":"x"}', 400, /tags/],
    ["POST", `/v1/devices/${code}/approve`, '{"__proto__":{"a":1}}', 400, /.|proto/],
    ["POST", `/v1/devices/${code}/approve`, { ports: [0] }, 400, /ports/],
    ["POST", `/v1/devices/${code}/approve`, { name: "../etc" }, 400, /name/],
    ["POST", `/v1/devices/${code}/approve`, { name: "kiosk2" }, 409, /name/],
    ["POST", "/v1/devices/kiosk2/approve", {}, 409, /approved already/],
    ["POST", `/v1/devices/${code}/deny`, { why: "x" }, 400, /nothing is to be sent/],
    ["POST", "/v1/devices/kiosk2/deny", undefined, 409, /not pending/],
  ];
  for (const [method, path, body, status, why] of cases) {
    const answer = await stand.ask(decider, method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    assert.match((answer.body as { error: string }).error, why, path);
  }
  const long = await stand.ask(
    decider,
    "POST",
    `/v1/devices/${code}/approve`,
    "x".repeat(maxApiBodyBytes + 1),
  );
  assert.equal(long.status, 413);
  const form = { contentType: "text/plain" };
  assert.equal((await stand.ask(decider, "POST", `/v1/devices/${code}/approve`, {}, form)).status, 415);
  assert.equal((await stand.office.find(code)).state, "pending");
  assert.equal((await stand.ask(decider, "GET", "/v1/openapi.json")).status, 200);
});

test("pages: each device once, and the last says that it is the last", async () => {
  const stand = start();
  for (let at = 0; at < 25; at++) {
    const { code } = await ask(stand.enrolment, `k${at}`);
    await stand.office.approve(
      code,
      { name: `kiosk${at}`, tags: at % 2 === 0 ? ["even"] : [] },
      { by: "ada" },
    );
  }
  const walk = async (query: string): Promise<string[]> => {
    const names: string[] = [];
    for (let after = ""; ; ) {
      const { body } = await stand.ask(tokens.reader, "GET", `/v1/devices?limit=4${query}${after}`);
      const { devices, next } = body as { devices: { name: string }[]; next?: string };
      names.push(...devices.map(({ name }) => name));
      if (next === undefined) return names;
      after = `&after=${next}`;
    }
  };
  const every = await walk("");
  assert.deepEqual([every.length, new Set(every).size], [25, 25]);
  assert.equal((await walk("&tag=even")).length, 13);
  assert.equal((await walk("&online=true")).length, 0);
});

test("a fault of ours is told as one, and says nothing of it", async () => {
  const { clock } = startAuthority();
  const events: AuditEvent[] = [];
  const desk = new ApiDesk(apiSchema.parse({ host: "a.example", tokens: all }), {
    clock,
    log: silentLog,
    office: () => assert.fail("a secret of the disk"),
    ports: [],
    turns: new CountedTurns(clock),
  });
  const { status, text } = await desk.answer({
    method: "GET",
    path: "/v1/devices",
    authorization: `Bearer ${tokens.reader}`,
    contentType: undefined,
    hasBody: false,
    body: () => Promise.resolve(undefined),
    from: { text: "unix" },
    audit: (event) => void events.push(event),
  });
  assert.equal(status, 500);
  assert.doesNotMatch(text, /secret/);
});
