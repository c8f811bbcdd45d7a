import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfig } from "./diff.ts";
import { parseConfig } from "./load.ts";
import type { Config } from "./schema.ts";

const base = `
listen: [":22"]
workers: 1
rules:
  - name: web
    match: { userPattern: "web(?<id>.*)", from: [10.0.0.0/8] }
    login: [{ kind: password, check: upstream }]
    upstream:
      host: "web{id}.lan"
      credentials: [{ kind: client-password }, { kind: password, password: one }]
      hostKey: { acceptNew: new }
`;

async function parse(text: string): Promise<Config> {
  const { config } = await parseConfig(text, "<test>", "/", { environment: {}, filesMustExist: false });
  return config;
}

test("the same configuration has no difference, wherever its lines stand", async () => {
  assert.deepEqual(diffConfig(await parse(base), await parse(`# comment\n${base}`)), {
    live: [],
    restart: [],
  });
});

test("every kind of change is seen, and whether it needs a restart", async () => {
  const cases: [string, string, string[], string[]][] = [
    ['listen: [":22"]', 'listen: [":23"]', ["listen"], []],
    ["workers: 1", "workers: 2", [], ["workers"]],
    ["workers: 1", "user: nobody", [], ["user"]],
    [
      "workers: 1",
      "log: { level: debug }\nstateDir: elsewhere",
      ["hostKeys", "log.level"],
      ["control", "stateDir"],
    ],
    [
      "workers: 1",
      "log: { level: debug, file: /log, format: json }",
      ["log.level"],
      ["log.file", "log.format"],
    ],
    ["web(?<id>.*)", "web(?<id>.+)", ["rules"], []],
    ["10.0.0.0/8", "10.0.0.0/9", ["rules"], []],
    ["web{id}.lan", "web{id}.net", ["rules"], []],
    ["password: one", "password: two", ["rules"], []],
    ["check: upstream", 'hashes: ["$2b$10$x"]', ["rules"], []],
  ];
  for (const [old, changed, live, restart] of cases) {
    const found = diffConfig(await parse(base), await parse(base.replace(old, changed)));
    assert.deepEqual([found.live.toSorted(), found.restart.toSorted()], [live, restart], changed);
  }
});
