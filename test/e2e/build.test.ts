/** `npm run build`: what it makes runs as JavaScript, by itself and through bin/postern.js, without the source. */
import assert from "node:assert/strict";
import { cp, symlink } from "node:fs/promises";
import { test } from "node:test";
import { run, succeed } from "#test/support/child";
import { repository, startGateway } from "#test/support/gateway";
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
  await using parts = await startParts();
  await using gateway = await startGateway({
    config: { workers: 2 },
    rules: [keyRule(parts)],
    // In place of the program that the command line names.
    launcher: ["/bin/sh", "-c", `node=$1; shift 2; exec "$node" ${bin} "$@"`, "sh"],
  });
  const target = gateway.target(parts.user.name, parts.identity.path);
  const { stdout, stderr } = await runSsh(target, ["echo in"]);
  assert.equal(stdout.toString(), "in\n", stderr);
  assert.equal((await gateway.stop()).code, 0);
});
