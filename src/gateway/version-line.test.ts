import assert from "node:assert/strict";
import { test } from "node:test";
import { upstreamVersion, versionLines } from "./version-line.ts";

test("the upstream hears of OpenSSH's extensions if the client speaks them", () => {
  const cases: [string, string][] = [
    ["SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-2.0-OpenSSH_Postern_1"],
    ["SSH-1.99-OpenSSH_3.9", "SSH-2.0-OpenSSH_Postern_1"],
    ["SSH-2.0-dropbear_2022.83", "SSH-2.0-Postern_1"],
    ["SSH-2.0-PuTTY_Release_0.78", "SSH-2.0-Postern_1"],
    ["SSH-2.0-Not_OpenSSH", "SSH-2.0-Postern_1"],
  ];
  for (const [client, ours] of cases) assert.equal(upstreamVersion("Postern_1", client), ours, client);
  assert.equal(versionLines("Postern_1").alike, "SSH-2.0-OpenSSH_Postern_1");
});
