/** `npm run build`: what it makes runs as JavaScript, by itself and through bin/postern.js, without the source. */
import assert from "node:assert/strict";
import { cp, readdir, readFile, symlink } from "node:fs/promises";
import { test } from "node:test";
import { run, succeed } from "#test/support/child";
import { type Gateway, type LogLine, repository, startGateway } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { keyRule, startParts } from "#test/support/world";

test("a release: dist/ and bin/, without the source", { skip: missing("ssh", "sshd") }, async () => {
  await using release = await tempDir();
  await succeed(process.execPath, [`${repository}/tools/build.ts`, release.at("dist")], { cwd: repository });
  await cp(`${repository}/bin`, release.at("bin"), { recursive: true });
  await symlink(`${repository}/node_modules`, release.at("node_modules"));
  const [bin, main] = [release.at("bin", "postern.js"), release.at("dist", "main.js")];
  for (const program of [bin, main]) {
    const { code, stdout, stderr } = await run(process.execPath, [program, "--version"], { cwd: "/" });
    assert.equal(code, 0, stderr);
    assert.match(stdout.toString(), /^\d+\.\d+\.\d+\n$/);
  }
  const [names, licences] = [
    await readdir(release.at("dist")),
    await readFile(release.at("dist", "licences.txt"), "utf8"),
  ];
  assert.match(licences, /^zod [0-9]/m);
  for (const name of names.filter((each) => each.endsWith(".map"))) {
    const { sources } = JSON.parse(await readFile(release.at("dist", name), "utf8")) as { sources: string[] };
    const locale = sources.find((source) => source.endsWith("zod/v4/locales/de.js"));
    assert.equal(
      locale,
      undefined,
      `whoever imports { z } from "zod", not * as z, brings fifty languages along`,
    );
  }
  const use = `import { connect } from "${release.at("dist", "client.js")}"; import * as ssh from "${release.at("dist", "library.js")}";
    if (typeof connect !== "function" || Object.keys(ssh).length === 0) process.exit(1);`;
  await succeed(process.execPath, ["--input-type=module", "-e", use]);
  await using parts = await startParts();
  await using source = await startGateway();
  // In place of the program that the command line names.
  const launcher = ["/bin/sh", "-c", `node=$1; shift 2; exec "$node" ${bin} "$@"`, "sh"];
  await using gateway = await startGateway({ config: { workers: 2 }, rules: [keyRule(parts)], launcher });
  // The native part, where there is one, is found beside the code.
  const ciphers = ({ ciphers: kind }: LogLine): unknown => kind;
  assert.deepEqual(gateway.events("started").map(ciphers), source.events("started").map(ciphers));
  const target = gateway.target(parts.user.name, parts.identity.path);
  const { stdout, stderr } = await runSsh(target, ["echo in"]);
  assert.equal(stdout.toString(), "in\n", stderr);
  assert.equal((await gateway.stop()).code, 0);

  // What HTTP needs is loaded where a listener takes HTTP, and nowhere else.
  const inFiles = `Object.keys(process.getBuiltinModule("node:module")._cache)`;
  const atTheEnd = `process.on("exit", () => console.error(JSON.stringify({ event: "loaded", modules: [...process.moduleLoadList, ...${inFiles}] })))`;
  const env = { NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(atTheEnd)}"` };
  const loadedBy = async (gateway: Gateway): Promise<string[]> => {
    await gateway.stop();
    const [last] = gateway.events("loaded");
    assert.ok(last !== undefined && Array.isArray(last["modules"]));
    const loaded = new Set<unknown>(last["modules"]);
    const late = ["http", "http2", "https", "tls"].filter((name) => loaded.has(`NativeModule ${name}`));
    return [...late, ...names.filter((name) => loaded.has(release.at("dist", name)))].filter(
      (name) => !name.endsWith(".map"),
    );
  };
  await using plain = await startGateway({ launcher, env, rules: [keyRule(parts)] });
  assert.deepEqual(await loadedBy(plain), []);
  // So are dependencies of what few use.
  const byPattern = keyRule(parts, "any", { match: { userPattern: ".+" } });
  await using withPattern = await startGateway({ launcher, env, rules: [byPattern] });
  const anyone = withPattern.target(parts.user.name, parts.identity.path);
  const { stdout: said, stderr: complaint } = await runSsh(anyone, ["echo in"]);
  assert.equal(said.toString(), "in\n", complaint);
  assert.deepEqual(await loadedBy(withPattern), ["late-re2js.cjs"]);
  const listen = [{ address: "127.0.0.1:0", entries: ["http", "websocket"] }];
  await using web = await startGateway({ launcher, env, rules: [keyRule(parts)], config: { listen } });
  const { status } = await fetch(`http://127.0.0.1:${web.port}/`);
  assert.equal(status, 404);
  assert.ok((await loadedBy(web)).includes("http"));
});
