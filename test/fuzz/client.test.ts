/** Forwardings, destinations, ssh_config, SOCKS, answers of proxies, output of stty: read, or refused with the right blame. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import {
  parseDestination,
  parseDynamic,
  parseForward,
  parseGate,
  ProxyAnswerReader,
  readSettings,
  SocksConversation,
} from "#client";
import { writeFile } from "node:fs/promises";
import { tempDir } from "#test/support/temp-dir";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 1_000);

/** Runs it; an error must have one of these codes, and a sentence. */
function readsOrRefuses(read: () => unknown, ...codes: string[]): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    assert.ok(codes.includes(error.code), error.message);
    assert.ok((error.detail ?? "").length < 600);
  }
}

const pieces = fc.array(
  fc.oneof(
    fc.constantFrom(
      ":",
      "[",
      "]",
      "/",
      "\\",
      " ",
      "*",
      "::1",
      "8080",
      "65536",
      "0",
      "host",
      "@",
      "-",
      "ssh://",
      ",",
    ),
    fc.string({ maxLength: 5, unit: "binary" }),
  ),
  { maxLength: 12 },
);

test("forwardings, destinations and gates", () => {
  fc.assert(
    fc.property(pieces, (parts) => {
      const text = parts.join("");
      const code = "OPERATOR_CLIENT_ARGUMENT";
      readsOrRefuses(() => parseForward("local", text), code);
      readsOrRefuses(() => parseForward("remote", text), code);
      readsOrRefuses(() => parseDynamic(text), code);
      readsOrRefuses(() => {
        const { host, port = 1 } = parseDestination(text);
        assert.ok(host !== "" && !host.startsWith("-") && port > 0 && port < 65_536);
      }, code);
      for (const way of ["sni", "connect", "websocket"] as const)
        readsOrRefuses(() => parseGate(text, way), code);
    }),
    { numRuns },
  );
});

test("a forwarding that was understood names real ports", () => {
  fc.assert(
    fc.property(fc.integer({ min: -5, max: 70_000 }), fc.integer({ min: -5, max: 70_000 }), (one, other) => {
      let understood = false;
      try {
        const { listen, to } = parseForward("local", `${one}:host:${other}`);
        understood = true;
        assert.ok(listen.kind === "tcp" && listen.port === one);
        assert.ok(to?.kind === "tcp" && to.port === other);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
      }
      assert.equal(understood, one >= 0 && one < 65_536 && other > 0 && other < 65_536);
    }),
    { numRuns },
  );
});

test("SOCKS: any bytes in any chunks end in a request, a refusal, or a wait for few more bytes", () => {
  const start = fc.constantFrom(
    [],
    [4, 1, 0, 80],
    [4, 1, 0, 80, 0, 0, 0, 1],
    [5, 1, 0],
    [5, 1, 0, 5, 1, 0, 3],
    [5, 1, 0, 5, 1, 0, 4],
  );
  fc.assert(
    fc.property(
      start,
      fc.uint8Array({ maxLength: 1200 }),
      fc.integer({ min: 1, max: 400 }),
      (first, more, size) => {
        const said = Buffer.concat([Buffer.from(first), more]);
        const conversation = new SocksConversation();
        let taken = 0;
        readsOrRefuses(() => {
          for (let at = 0; at < said.length; at += size) {
            let step = conversation.receive(said.subarray(at, at + size));
            taken = Math.min(said.length, at + size);
            while (step.kind === "send") step = conversation.receive(Buffer.alloc(0));
            if (step.kind === "connect") assert.ok(step.to.port > 0 && step.to.host !== "");
            if (step.kind !== "more") return;
          }
          assert.ok(taken <= 1000, "more is waited for without end");
        }, "PEER_SOCKS_INVALID");
      },
    ),
    { numRuns },
  );
});

test("answers of proxies", () => {
  const head = fc.constantFrom(
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 407\n",
    "HTTP/",
    "SSH-2.0-x\r\n",
    "<html>",
    "",
  );
  fc.assert(
    fc.property(
      head,
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 50 }),
      (first, rest, ends, size) => {
        const bytes = Buffer.from(`${first}${rest}${ends ? "\r\n\r\nafter" : ""}`);
        const reader = new ProxyAnswerReader();
        readsOrRefuses(() => {
          for (let at = 0; at < bytes.length; at += size) {
            const answer = reader.receive(bytes.subarray(at, at + size));
            if (answer === undefined) continue;
            assert.ok(answer.status >= 100 && answer.status <= 999);
            return;
          }
        }, "UPSTREAM_CLIENT_GATE");
      },
    ),
    { numRuns },
  );
});

test("ssh_config: any lines", async () => {
  await using folder = await tempDir();
  const word = fc.oneof(
    fc.constantFrom(
      "Host",
      "Match",
      "all",
      "user",
      "host",
      "exec=",
      "Port",
      "User",
      "*",
      "!x",
      "=",
      '"',
      "'",
      "#",
      "\\",
      "%h",
      "%",
      "${X}",
      "Include",
      "ProxyJump",
      "yes",
      "22",
    ),
    fc.string({ maxLength: 4 }),
  );
  const text = fc
    .array(
      fc.array(word, { maxLength: 5 }).map((words) => words.join(" ").replaceAll(/include/gi, "X")),
      { maxLength: 12 },
    )
    .map((rows) => rows.join("\n"));
  await fc.assert(
    fc.asyncProperty(text, async (content) => {
      // A command would be run: there is none that ends well.
      const safe = content.replaceAll(/exec/gi, "user");
      await writeFile(folder.at("config"), safe);
      try {
        const { port } = await readSettings({
          host: "h",
          overrides: [],
          configFile: folder.at("config"),
          environment: {},
        });
        assert.ok(port > 0 && port < 65_536);
      } catch (error) {
        assert.ok(error instanceof PosternError && error.code === "OPERATOR_CLIENT_CONFIG", String(error));
      }
    }),
    { numRuns: Math.min(numRuns, 400) },
  );
});
