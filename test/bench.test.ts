/** What the benchmark says of its figures, and how it starts a rival that cannot be had here. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { tempDir } from "#test/support/temp-dir";
import { judge } from "../bench/judge.ts";
import { merged, readReport, writeReport } from "../bench/reports.ts";
import { rivals } from "../bench/rivals.ts";
import type { Figure, Metric, Report } from "../bench/schema.ts";

/** A figure whose ratio to another subject is this. */
function figure(
  name: string,
  metric: Metric,
  median: number,
  ratios: Readonly<Record<string, number>> = {},
): Figure {
  const values = { samples: [median], median, low: median, high: median };
  const found = Object.entries(ratios).map(([subject, ratio]) => ({ subject, metric, median: ratio }));
  const subject = name.startsWith("workers") ? "two" : "gateway";
  return { case: name, subject, metric, ...values, ratios: found };
}

const cpu = "proxyCpuSecondsPerGb";
const verdict = (id: string, figures: readonly Figure[]): string | undefined =>
  judge(figures).find((goal) => goal.id === id)?.verdict;

function bulk(toC: number, rivals: Readonly<Record<string, number>>): Figure[] {
  return ["down", "up"].flatMap((direction) => [
    figure(`saturated-${direction}-aes128-gcm`, cpu, 1, { c: toC }),
    figure(`bulk-${direction}-aes128-gcm`, cpu, 1, rivals),
  ]);
}

test("a goal is met by all its parts, and met here where a rival is not", () => {
  assert.equal(verdict("P1", bulk(1, { go: 0.4, ssh2: 0.4 })), "met");
  assert.equal(verdict("P1", bulk(1, { go: 0.4 })), "met here");
  assert.equal(verdict("P1", bulk(1, {})), "met here");
});

test("a part that is missed decides, whatever else is not measured", () => {
  assert.equal(verdict("P1", bulk(1, { go: 0.6 })), "missed");
  assert.equal(verdict("P1", bulk(1.2, {})), "missed");
});

test("no goal is met whose own figure was not measured", () => {
  const rivalsAlone = bulk(1, { go: 0.4, ssh2: 0.4 }).filter((each) => each.case.startsWith("bulk"));
  assert.equal(verdict("P1", rivalsAlone), "not measured");
  for (const goal of judge([])) assert.match(goal.verdict, /^(?:not measured|open)$/, goal.id);
});

test("what is judged where cores are free alone is open elsewhere", () => {
  const few = availableParallelism() < 4;
  const workers = [
    figure("workers", "loginsPerSecond", 1, { one: 1.9 }),
    figure("workers-bulk", "megabytesPerSecond", 1, { one: 1.9 }),
  ];
  assert.equal(verdict("P11", workers), few ? "open" : "met");
  const bulk = (toDirect: number): Figure[] =>
    ["down", "up"].flatMap((direction) => [
      figure(`bulk-${direction}-default`, cpu, 1, { jump: 0.5 }),
      figure(`bulk-${direction}-default`, "megabytesPerSecond", 1, { direct: toDirect }),
    ]);
  assert.equal(verdict("P5", bulk(1)), "met");
  assert.equal(verdict("P5", bulk(0.5)), few ? "met here" : "missed");
});

const machine = { cpu: "any", cores: 2, memoryBytes: 1, kernel: "", node: "", openssl: "", openssh: "" };
const report = (at: string, figures: readonly Figure[], took: Readonly<Record<string, number>>): Report => ({
  schema: "postern-bench/1",
  at,
  quick: false,
  machine,
  load: [1, 1],
  absent: {},
  figures,
  took,
  goals: judge(figures),
});

test("of several reports each case comes from the last that has it", async () => {
  await using folder = await tempDir();
  const first = report("2026-01-01", [figure("echo", "p50Micros", 1), figure("start", "readyMs", 1)], {
    echo: 1,
    start: 1,
  });
  const second = report("2026-01-02", [figure("start", "readyMs", 2)], { start: 2 });
  writeReport(folder.at("second"), second);
  const { at, figures, took } = merged([first, readReport(folder.at("second"))]);
  assert.equal(at, "2026-01-02");
  assert.deepEqual(figures, [figure("echo", "p50Micros", 1), figure("start", "readyMs", 2)]);
  assert.deepEqual(took, { echo: 1, start: 2 });
  const elsewhere = { ...second, machine: { ...machine, cores: 8 } };
  assert.throws(() => merged([first, elsewhere]), /different machines/);
});

test("sshpiperd, where it is on the PATH, is given the route by its plugin's file", async () => {
  await using folder = await tempDir();
  const program = `#!${process.execPath}
const { createServer } = require("node:net");
const { writeFileSync } = require("node:fs");
const words = process.argv.slice(2);
writeFileSync(${JSON.stringify(folder.at("words"))}, JSON.stringify(words));
createServer().listen(Number(words[words.indexOf("--port") + 1]), "127.0.0.1");
`;
  for (const name of ["sshpiperd", "yaml"]) {
    await writeFile(folder.at(name), program);
    await chmod(folder.at(name), 0o755);
  }
  const { PATH } = process.env;
  process.env["PATH"] = `${folder.path}:${PATH}`;
  try {
    assert.equal(rivals.sshpiperd.absent(), undefined);
    await using proxy = await rivals.sshpiperd.start({
      upstream: { host: "127.0.0.1", port: 2022, hostKeys: [], knownHosts: "/known" },
      key: { path: "/key", publicLine: "ssh-ed25519 AAAA" },
      rsaKey: { path: "/rsa" },
      user: "ada",
    });
    const words = JSON.parse(await readFile(folder.at("words"), "utf8")) as string[];
    const after = (flag: string): string => words[words.indexOf(flag) + 1] ?? "";
    assert.deepEqual([after("--address"), after("--port")], [proxy.host, String(proxy.port)]);
    assert.match(await readFile(after("--server-key"), "latin1"), /PRIVATE KEY/);
    assert.ok(words.includes(folder.at("yaml")));
    const { version, pipes } = JSON.parse(await readFile(after("--config"), "utf8")) as Record<
      string,
      unknown
    >;
    const [from, to] = [
      { username: "ada", authorized_keys: after("--config").replace("config.yaml", "keys") },
      { host: "127.0.0.1:2022", username: "ada", private_key: "/key", known_hosts: "/known" },
    ];
    assert.deepEqual([version, pipes], ["1.0", [{ from: [from], to }]]);
  } finally {
    process.env["PATH"] = PATH;
  }
});
