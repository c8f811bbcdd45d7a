/** docs/devices.md, from nothing to `ssh kiosk7` and its web page: its commands, taken out of the page, with stock programs. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { Child, run } from "#test/support/child";
import { program, repository } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { startSshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

test("five minutes, on one machine, as docs/devices.md has them", {
  skip: missing("ssh", "sshd", "openssl", "curl"),
}, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const ada = makeKey(folder.at("ada"), "ed25519");
  const sshd = stack.use(
    await startSshd({ authorizedKeys: [ada.publicLine], config: ["SetEnv PLACE=device"] }),
  );
  const web = createServer((_, response) => void response.end("the page of kiosk7\n"));
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  stack.defer(() => void web.close());
  const port = await freePort();

  // Ports apart, and a key of one's own, it is the page's own text.
  const page = await readFile(join(repository, "docs/devices.md"), "utf8");
  const text = (/## Five minutes.*?\n(?=## )/s.exec(page)?.[0] ?? "")
    .replaceAll(/localhost:22\b/g, `localhost:${sshd.port}`)
    .replaceAll(/localhost:80\b/g, `localhost:${(web.address() as AddressInfo).port}`)
    .replaceAll("2222", String(port))
    .replaceAll(/ssh-ed25519 AAAA\S+ ada/g, ada.publicLine.trim());
  const [, config = ""] = /```yaml\n(.*?)```/s.exec(text) ?? [];
  const [, sshConfig = ""] = /```\n(Host .*?)```/s.exec(text) ?? [];
  const lines = (text.match(/^ {4}\S.*$/gm) ?? [])
    .map((line) => line.trim())
    .filter((line) => !config.includes(line) && !sshConfig.includes(line));

  // Who asks for a host key to be confirmed is told yes; a person's key is where ssh looks for it.
  const asked = folder.at("ssh_config");
  const usual = [
    `UserKnownHostsFile ${folder.at("known_hosts")}`,
    "StrictHostKeyChecking accept-new",
    `IdentityFile ${ada.path}`,
    "IdentityAgent none",
  ];
  await writeFile(asked, `${usual.join("\n")}\n${sshConfig}`);
  const bin = async (name: string, command: string): Promise<void> => {
    await writeFile(folder.at(name), `#!/bin/sh\nexec ${command} "$@"\n`);
    await chmod(folder.at(name), 0o755);
  };
  await bin("ssh", `${stranger("ssh")} -F ${asked}`);
  await bin("postern", `${process.execPath} ${program}`);
  const env = { PATH: `${folder.path}:${process.env["PATH"] ?? ""}` };

  let cwd = folder.path;
  let code = "";
  let said = "";
  let tunnels = 0;
  const outputs = new Map<string, string>();
  for (const line of lines) {
    const command = line.replaceAll("K7QM-2XPA", code);
    if (command.startsWith("postern serve")) {
      await writeFile(join(cwd, "postern.yaml"), config, { mode: 0o600 });
      const gateway = stack.use(new Child("sh", ["-c", `exec ${command}`], { cwd, env }));
      await gateway.waitForStderr(/listening/);
    } else if (command.startsWith("ssh -N")) {
      const device = stack.use(new Child("sh", ["-c", `exec ${command}`], { cwd, env }));
      if (++tunnels === 1) {
        [, code = ""] = await device.waitForStderr(/Its code is ([0-9A-Z]{4}-[0-9A-Z]{4});/);
        said = device.stderr;
        await device[Symbol.asyncDispose]();
      } else
        await until("both tunnels", async () => {
          const shown = await run("postern", ["device", "show", "kiosk7", "--json", "-c", "postern.yaml"], {
            cwd,
            env,
          });
          const { tunnels: held } = JSON.parse(shown.stdout.toString()) as { tunnels: unknown[] };
          return held.length === 2;
        });
    } else if (line.startsWith("This device")) {
      assert.ok(said.includes(command), `${said}\nshould say: ${command}`);
    } else {
      const outcome = await run("sh", ["-c", command], { cwd, env, stdin: { data: "echo at $PLACE\n" } });
      assert.equal(outcome.code, 0, `${command}: ${outcome.stderr}`);
      outputs.set(command, outcome.stdout.toString());
      if (command.startsWith("mkdir gate")) cwd = folder.at("gate");
    }
  }
  const output = (start: string): string =>
    [...outputs].find(([command]) => command.startsWith(start))?.[1] ??
    assert.fail(`${start} is not in the page`);
  assert.equal(output("ssh -J"), "at device\n");
  assert.match(output(`ssh -p ${port} ada@localhost ls`), /kiosk7/);
  assert.equal(output("ssh kiosk7"), "at device\n");
  assert.equal(output("curl"), "the page of kiosk7\n");
});
