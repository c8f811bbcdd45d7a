/** What the documentation written by hand says about the program is so: events, commands, configurations. Links: docs.test.ts. */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { test } from "node:test";
import { callbacks } from "#app";
import { loadConfig } from "#config";
import { tempDir } from "#test/support/temp-dir";

const project = join(import.meta.dirname, "..");
const pages = globSync(join(project, "{*.md,docs/**/*.md,packaging/*.md,bench/*.md}")).sort();
const read = (...names: string[]): Promise<string> => readFile(join(project, ...names), "utf8");

test("operations.md names events that the program logs", async () => {
  const sources = globSync(join(project, "src/**/*.ts")).filter((file) => !file.endsWith(".test.ts"));
  const code = (await Promise.all(sources.map((file) => readFile(file, "utf8")))).join("\n");
  const logs = (await read("docs", "operations.md")).split("## Logs")[1]?.split("\n## ")[0] ?? "";
  const rows = logs.split("\n").filter((line) => /^\| `[a-z]/.test(line));
  assert.ok(rows.length > 10);
  for (const row of rows) {
    for (const [, event = ""] of (row.split("|")[1] ?? "").matchAll(/`([a-z-]+)`/g)) {
      assert.ok(code.includes(`("${event}"`) || code.includes(`"${event}",`), `${event} is logged nowhere`);
    }
  }
});

test("policy.md: its rules are good", async () => {
  const [, rules = ""] = /```yaml\n(rules:.*?)```/s.exec(await read("docs", "policy.md")) ?? [];
  await using folder = await tempDir();
  const named = rules.replaceAll(/state\/id_ed25519|\/etc\/ssh\/ssh_known_hosts/g, "postern.yaml");
  await writeFile(folder.at("postern.yaml"), `listen: [":2222"]\nhostKeys: [postern.yaml]\n${named}`);
  const { config } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
  assert.equal(config.rules.filter(({ policy }) => policy !== undefined).length, 3);
});

test("devices.md: its rules are good", async () => {
  const [, rules = ""] = /```yaml\n(targets:.*?)```/s.exec(await read("docs", "devices.md")) ?? [];
  await using folder = await tempDir();
  const named = rules.replaceAll("state/fleet_key", "postern.yaml");
  await writeFile(
    folder.at("postern.yaml"),
    `listen: [":2222"]\nhostKeys: [postern.yaml]\ndevices: {}\n${named}`,
  );
  const { config } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
  assert.equal(config.rules.length + config.spliceRules.length, 4);
});

test("sftp.md: its rules are good", async () => {
  const blocks = [...(await read("docs", "sftp.md")).matchAll(/```yaml\n(.*?)```/gs)].map(
    (match) => match[1] ?? "",
  );
  assert.equal(blocks.length, 5);
  for (const block of blocks) {
    await using folder = await tempDir();
    const named = block.replaceAll(/state\/id_ed25519|\/etc\/ssh\/ssh_known_hosts/g, "postern.yaml");
    await writeFile(folder.at("postern.yaml"), `listen: [":2222"]\nhostKeys: [postern.yaml]\n${named}`);
    const { config } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
    assert.ok(config.rules.every(({ sftp }) => sftp !== undefined));
  }
});

for (const page of ["README.md", "docs/getting-started.md", "docs/devices.md"]) {
  test(`${page}: whole configurations in it are good`, async () => {
    const blocks = [...(await read(page)).matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
    const whole = blocks.filter((block) => block.startsWith("listen:"));
    assert.ok(whole.length > 0);
    for (const block of whole) {
      await using folder = await tempDir();
      await mkdir(folder.at("state"));
      for (const named of ["state/ssh_host_ed25519_key", "web.pem", "web.key"])
        await writeFile(folder.at(named), "key");
      await writeFile(folder.at("postern.yaml"), block);
      const { warnings } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
      assert.deepEqual(warnings, []);
    }
  });
}

test("getting-started.md: the rules for many hosts are good", async () => {
  const text = await read("docs", "getting-started.md");
  const rules = [...text.matchAll(/```yaml\n(rules:.*?)```/gs)].map((match) => match[1] ?? "");
  assert.equal(rules.length, 1);
  await using folder = await tempDir();
  await writeFile(folder.at("postern.yaml"), `listen: [":2222"]\nhostKeys: [postern.yaml]\n${rules[0]}`);
  const { config } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
  assert.equal(config.rules.length, 2);
});

test("commands in the documentation exist, with their options", async () => {
  const known = new Set(
    (await read("docs", "cli.md")).match(/^## postern.*$/gm)?.map((line) => line.slice(3)),
  );
  assert.ok(known.has("postern serve"));
  let seen = 0;
  for (const page of pages) {
    const text = await readFile(page, "utf8");
    for (const [line] of text.matchAll(
      /(?<=^ {4}|`)(?:bin\/|sudo -u postern )?postern(?:\.js)? [a-z][^`\n]*/gm,
    )) {
      const words = line
        .replace(/^(?:bin\/|sudo -u postern )/, "")
        .replace(/^postern\.js/, "postern")
        .split(/\s+/);
      const two = words.slice(0, 3).join(" ");
      const one = words.slice(0, 2).join(" ");
      seen += 1;
      const aliased = two === "postern key hash";
      assert.ok(known.has(two) || known.has(one) || aliased, `${relative(project, page)}: ${line}`);
    }
  }
  assert.ok(seen > 15, `${seen} commands`);
});

test("single-sign-on.md and devices-web.md: a page of the gateway's own, as it is written there", async () => {
  const blockOf = (text: string): string =>
    [...text.matchAll(/```yaml\n(.*?)```/gs)]
      .map(([, block = ""]) => block)
      .find((each) => /^signIn:/m.test(each)) ?? "";
  const ssh = blockOf(await read("docs", "single-sign-on.md"));
  const web = blockOf(await read("docs", "devices-web.md"));
  assert.match(ssh, /flow: browser/);
  await using folder = await tempDir();
  const [file, key] = [folder.at("postern.yaml"), folder.at("web.pem")];
  await writeFile(key, "text");
  const paths =
    /web\.(?:pem|key)|\/etc\/postern\/oidc-secret|\/etc\/ssh\/ssh_known_hosts|state\/user_ca_key/g;
  const [, listen = ""] = /^(listen:.*?)^signIn:/ms.exec(ssh) ?? [];
  const devices =
    "devices: { web: { domain: devices.example.com } }\ntargets: [{ name: fleet, devices: true }]\n";
  for (const text of [ssh, `${listen}${devices}${web}`]) {
    await writeFile(file, `hostKeys: [${key}]\n${text.replaceAll(paths, key)}`, { mode: 0o600 });
    const { config, warnings } = await loadConfig(file, { environment: {} });
    assert.deepEqual(warnings, []);
    assert.equal(config.signIn?.address, "https://login.gate.example.com");
    const provider = { issuer: "https://login.example.com", clientId: "postern" };
    const [{ address, ...asked } = assert.fail("no redirect address"), ...others] = callbacks(config);
    assert.deepEqual([asked, others], [provider, []]);
    for (const page of ["single-sign-on.md", "devices-web.md"])
      assert.ok((await read("docs", page)).includes(`\`${address}\``), `${address} is not in ${page}`);
  }
});
