import assert from "node:assert/strict";
import { test } from "node:test";
import type { SftpRequest } from "#ssh/sftp";
import { planOf } from "#test/support/confined";
import { settled, SftpEnds } from "#test/support/sftp-ends";
import { type SymlinkOrder, symlinkOrder } from "./symlinks.ts";

const openSsh = "SSH-2.0-OpenSSH_Postern";
const plain = "SSH-2.0-Postern";

const orders: readonly (readonly [host: string, ours: string, order: SymlinkOrder])[] = [
  ["SSH-2.0-OpenSSH_9.2p1 Debian-2", plain, "openssh"],
  ["SSH-2.0-OpenSSH_for_Windows_9.5", openSsh, "openssh"],
  ["SSH-1.99-OpenSSH_5.3", plain, "openssh"],
  ["SSH-2.0-dropbear_2022.83", plain, "openssh"],
  ["SSH-2.0-mod_sftp", plain, "openssh"],
  ["SSH-2.0-Go", plain, "openssh"],
  ["SSH-2.0-SFTPGo_2.6.2", plain, "openssh"],
  ["SSH-2.0-APACHE-SSHD-2.12.0", plain, "openssh"],
  ["SSH-2.0-AsyncSSH_2.14.2", openSsh, "openssh"],
  ["SSH-2.0-AsyncSSH_2.14.2", plain, "draft"],
  ["SSH-2.0-ssh2js1.16.0srv", plain, "draft"],
  ["SSH-2.0-GoAnywhere7", openSsh, "unknown"],
  ["SSH-2.0-Cerberus", openSsh, "unknown"],
  ["SSH-2.0-x-OpenSSH", openSsh, "unknown"],
  ["", openSsh, "unknown"],
];
for (const [host, ours, order] of orders)
  test(`"${host}" asked by "${ours}": ${order}`, () => assert.equal(symlinkOrder(host, ours), order));

test("links are made in the order that the host takes, and not at one of which that is not known", async () => {
  const request: SftpRequest = { kind: "symlink", id: 1, target: "/d/f1", link: "/d/l" };
  for (const [order, sent] of [
    ["openssh", { target: "/srv/d/f1", link: "/srv/d/l" }],
    ["draft", { target: "/srv/d/l", link: "/srv/d/f1" }],
    ["unknown", undefined],
  ] as const) {
    const ends = await SftpEnds.greeted(planOf({ root: "/srv" }), undefined, order);
    ends.ask(request);
    await settled();
    const asked = ends.toUpstream.find(({ kind }) => kind === "symlink");
    assert.deepEqual(asked, sent === undefined ? undefined : { kind: "symlink", id: 1, ...sent }, order);
    if (sent === undefined)
      assert.ok(ends.events.some((event) => event.event === "file-refused" && event.path === "/d/l"));
  }
});
