import assert from "node:assert/strict";
import { test } from "node:test";
import { passedSockets } from "./systemd.ts";

test("sockets that were passed to this very process are known, by name where they have one", () => {
  const environment = { LISTEN_PID: "77", LISTEN_FDS: "3", LISTEN_FDNAMES: "ssh::other" };
  assert.deepEqual(passedSockets(environment, 77), [
    { fd: 3, name: "ssh" },
    { fd: 4 },
    { fd: 5, name: "other" },
  ]);
  assert.deepEqual(passedSockets({ LISTEN_PID: "77", LISTEN_FDS: "1" }, 77), [{ fd: 3 }]);
});

test("what was passed to another process, or makes no sense, is nothing", () => {
  for (const environment of [
    {},
    { LISTEN_FDS: "1" },
    { LISTEN_PID: "78", LISTEN_FDS: "1" },
    { LISTEN_PID: "77", LISTEN_FDS: "0" },
    { LISTEN_PID: "77", LISTEN_FDS: "-1" },
    { LISTEN_PID: "77", LISTEN_FDS: "1.5" },
    { LISTEN_PID: "77", LISTEN_FDS: "many" },
    { LISTEN_PID: "77", LISTEN_FDS: "100000" },
  ]) {
    assert.deepEqual(passedSockets(environment, 77), [], JSON.stringify(environment));
  }
});
