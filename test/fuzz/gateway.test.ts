/** What operators write and clients name, on its way to a host: understood, or refused with an OPERATOR_ error or a reason. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePasswordHash } from "#auth";
import { Pattern, parseTemplate, PosternError } from "#base";
import type { AuthMethod, Credential } from "#contract";
import { Router } from "#gateway";

/** Runs `parse`, and lets nothing out but OPERATOR_ errors. */
function parsesOrBlamesOperator(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
  }
}

const hashLike = fc.tuple(
  fc.constantFrom("$scrypt$ln=", "$argon2id$v=19$m=", "$2b$", "$", ""),
  fc.stringMatching(/^[0-9a-zA-Z+/=,$.rptln-]{0,80}$/),
);

test("password hashes", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        hashLike.map((parts) => parts.join("")),
      ),
      (text) => {
        parsesOrBlamesOperator(() => parsePasswordHash(text));
      },
    ),
  );
});

test("templates: what was filled in is never read as a template", () => {
  const braces = fc.stringMatching(/^[a-z{}0-9_$]{0,20}$/);
  fc.assert(
    fc.property(braces, fc.dictionary(fc.constantFrom("a", "b", "user"), braces), (text, values) => {
      parsesOrBlamesOperator(() => {
        const template = parseTemplate(text);
        const filled = template.expand(values);
        const missing = template.names.some((name) => values[name] === undefined);
        assert.equal(filled === undefined, missing);
      });
    }),
  );
});

const login: AuthMethod = {
  kind: "password",
  methods: ["password"],
  defers: true,
  givesPassword: true,
  attempt: async () => ({ kind: "deferred" }),
  [Symbol.asyncDispose]: async () => {},
};
const credential: Credential = {
  kind: "client-password",
  needsClientPassword: true,
  ways: async () => [],
  [Symbol.asyncDispose]: async () => {},
};

/** A gateway whose users name a host, of which only those below example.lan are allowed. */
const router = new Router([
  {
    name: "named",
    match: { userPattern: new Pattern("(?s)(.*)\\+(?<host>[^:]*)(:(?<port>.*))?") },
    login: [[login]],
    targets: ["*.example.lan", "!db.example.lan"],
    upstream: {
      addresses: [{ host: parseTemplate("{host}"), port: parseTemplate("{port}") }],
      spread: "in-order",
      user: parseTemplate("{1}"),
      credentials: [credential],
      hostKey: { dangerouslyAcceptAny: true },
      connectTimeoutMs: 1,
    },
  },
]);

test("whatever a client names, it goes to an allowed host and a real port, or nowhere", () => {
  const host = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "web.example.lan",
      "db.example.lan",
      "WEB.EXAMPLE.LAN.",
      "a.example.lan\0.evil",
      "1.2.3.4",
    ),
    fc.stringMatching(/^[a-z0-9.-]{0,12}\.example\.lan$/),
  );
  const port = fc.oneof(fc.string(), fc.integer({ min: -1, max: 70_000 }).map(String));
  fc.assert(
    fc.property(fc.string(), host, port, (user, name, number) => {
      const route = router.route({ user: `${user}+${name}:${number}`, from: { text: "unix" }, nowMs: 0 });
      if (route === undefined) return;
      const [address] = route.addresses;
      assert.ok(address !== undefined);
      assert.match(address.host, /^[a-z0-9_-][a-z0-9_.-]*\.example\.lan\.?$/);
      assert.notEqual(address.host.replace(/\.$/, ""), "db.example.lan");
      assert.ok(Number.isInteger(address.port) && address.port >= 1 && address.port <= 65_535);
    }),
    { numRuns: 1000 },
  );
});
