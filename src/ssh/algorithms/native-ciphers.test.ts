import assert from "node:assert/strict";
import { test } from "node:test";
import { pureCiphers } from "./ciphers.ts";
import type { NativeDirection, NativePackets } from "./native.ts";
import { withNative } from "./native-ciphers.ts";

test("a native part that fails to seal is not believed to have sealed when it is asked again", () => {
  const broken: NativePackets = {
    version: 0,
    create: () => ({}) as NativeDirection,
    open: () => -3,
    seal: () => -3,
    free: () => {},
  };
  const pure = pureCiphers.get("aes128-gcm@openssh.com");
  assert.ok(pure !== undefined);
  const sealer = withNative(pure, broken).sealer(new Uint8Array(16), new Uint8Array(12));
  const out = new Uint8Array(64);
  sealer.seal(new Uint8Array(16), 0, 16, out, 0);
  for (let n = 0; n < 2; n++) assert.throws(() => sealer.finish(), { code: "BUG_CIPHER_FAILED" });
});
