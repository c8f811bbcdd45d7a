/** `postern user totp` at a terminal: what it draws is read by a scanner, as by the camera of a telephone. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { program, startGateway } from "#test/support/gateway";
import { run } from "#test/support/child";
import { runOnPty } from "#test/support/pty";
import { missing, stranger } from "#test/support/strangers";

const skip = missing("python3", "zbarimg");

/** Pixels of one module: what a scanner needs. */
const scale = 8;

/** What stands on the terminal in light on dark blocks, two modules in each character, as a picture. */
function picture(text: string): Buffer {
  // oxlint-disable-next-line no-control-regex -- colours of a terminal
  const rows = [...text.matchAll(/\x1b\[40;97m([ █▀▄]+)\x1b\[0m/g)].flatMap(([, row = ""]) => [
    Array.from(row, (block) => "█▀".includes(block)),
    Array.from(row, (block) => "█▄".includes(block)),
  ]);
  const width = rows[0]?.length ?? 0;
  assert.ok(width > 20 && rows.every((row) => row.length === width), `${rows.length} rows of ${width}`);
  const pixels = rows.flatMap((row) => {
    const line = row.flatMap((light) => Array<number>(scale).fill(light ? 255 : 0));
    return Array<number[]>(scale).fill(line).flat();
  });
  const head = Buffer.from(`P5\n${width * scale} ${rows.length * scale}\n255\n`);
  return Buffer.concat([head, Buffer.from(pixels)]);
}

test("the QR code is the address, and its secret is the user's", { skip }, async () => {
  await using gateway = await startGateway({ config: { users: { file: "users.yaml" } } });
  for (const flags of [[], ["--digits", "8", "--algorithm", "sha256"]]) {
    const name = `ada-${flags.length}`;
    const { code, stdout } = await runOnPty({
      rows: 60,
      columns: 120,
      command: [process.execPath, program, "user", "totp", name, "-c", gateway.configFile, ...flags],
    });
    assert.equal(code, 0, stdout.toString());
    const drawn = gateway.folder.at(`${name}.pgm`);
    writeFileSync(drawn, picture(stdout.toString()));
    const scanned = await run(stranger("zbarimg"), ["--raw", "-q", drawn]);
    const address = scanned.stdout.toString().trim();
    assert.match(address, /^otpauth:\/\/totp\//);
    assert.ok(stdout.toString().includes(`${address}\r\n`), "it is also told as text");
    const secret = new URL(address).searchParams.get("secret") ?? "";
    assert.match(secret, /^[A-Z2-7]{32,}$/);
    assert.ok((await readFile(gateway.folder.at("users.yaml"), "utf8")).includes(secret));
  }
});
