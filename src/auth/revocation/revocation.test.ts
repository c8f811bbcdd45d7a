import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import type { FileRead } from "#contract";
import { formatPublicKey, generatePrivateKey } from "#ssh/keys";
import { openRevocation } from "./revocation.ts";

const ada = generatePrivateKey("ssh-ed25519").publicKey;
const bob = generatePrivateKey("ssh-ed25519").publicKey;

function ports(files: Map<string, FileRead>) {
  return { log: silentLog, files: { read: async (path: string) => files.get(path) } };
}

const file = (text: string, mode = 0o644): FileRead => ({ bytes: Buffer.from(text), mode });

test("lists are read again at each use, and any of them revokes", async () => {
  const files = new Map([
    ["/one", file("")],
    ["/two", file(formatPublicKey(bob.blob))],
  ]);
  const revocation = await openRevocation(["/one", "/two"], ports(files));
  assert.equal(await revocation.reasonAgainst(ada), undefined);
  assert.equal(await revocation.reasonAgainst(bob), "/two: the key is revoked");
  files.set("/one", file(formatPublicKey(ada.blob)));
  assert.equal(await revocation.reasonAgainst(ada), "/one: the key is revoked");
  files.set("/one", file(""));
  assert.equal(await revocation.reasonAgainst(ada), undefined);
  assert.equal(await (await openRevocation([], ports(files))).reasonAgainst(bob), undefined);
});

test("a list that goes bad keeps everybody out; one that is bad from the start is the operator's error", async () => {
  const bad: readonly (FileRead | undefined)[] = [
    undefined,
    file("nonsense"),
    file("SSHKRL\n\0"),
    file("", 0o646),
  ];
  for (const content of bad) {
    const files = new Map([["/list", file("")]]);
    const revocation = await openRevocation(["/list"], ports(files));
    if (content === undefined) files.delete("/list");
    else files.set("/list", content);
    assert.equal(await revocation.reasonAgainst(ada), "/list: the list of revoked keys cannot be read");
    await assert.rejects(openRevocation(["/list"], ports(files)), {
      code: "OPERATOR_REVOCATION_LIST_INVALID",
    });
  }
});
