import assert from "node:assert/strict";
import { test } from "node:test";
import { trailersOf } from "./trailers.ts";

test("what may stand behind a body, and what may not", () => {
  const good = ["X-Checksum", "abc", "grpc-status", "0", "X-Checksum", "again"];
  const bad = [
    "Content-Length",
    "5",
    "Transfer-Encoding",
    "chunked",
    "Host",
    "evil",
    "Set-Cookie",
    "a=1",
    "Location",
    "/",
    "Authorization",
    "x",
    "X-Forwarded-User",
    "root",
    "x_forwarded_for",
    "1.2.3.4",
    "Connection",
    "x-hop",
    "X-Hop",
    "1",
    ":status",
    "200",
  ];
  assert.deepEqual(trailersOf([...good, ...bad]), [
    ["X-Checksum", "abc"],
    ["grpc-status", "0"],
    ["X-Checksum", "again"],
  ]);
});
