/** The file of `postern agent`, as operators write it: a configuration, or refused as the operator's; never anything else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigInvalid, loadFile } from "#config";
import { agentSchema, installPlan } from "#device-agent";
import fc from "fast-check";

const print = `SHA256:${"A".repeat(43)}`;
const word = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "kiosk7",
    "gate:22",
    "[::1]:22",
    "localhost:22",
    "unix:/x",
    print,
    "1s",
    "nginx.service",
    "/bin/true",
  ),
  fc.constantFrom(
    "${file:/x}",
    "${file:",
    "${env:X}",
    "__proto__",
    "constructor",
    "null",
    "*a",
    "&a",
    "<<",
    "%n $x",
  ),
);
const value = fc.oneof(
  word,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.array(word, { maxLength: 3 }),
);
const maybe = <T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 8, arbitrary: good }, { weight: 1, arbitrary: value });
const port = fc.oneof(fc.integer({ min: -1, max: 65_536 }), fc.constantFrom(22, 80));
const file = fc
  .record(
    {
      name: maybe(fc.constant("kiosk7")),
      stateDir: word,
      key: word,
      gates: maybe(
        fc.array(
          fc.record(
            { address: word, user: word, token: word, knownHosts: word, fingerprints: fc.array(word) },
            { requiredKeys: ["address"] },
          ),
        ),
      ),
      forwards: maybe(fc.array(fc.record({ port, to: word }))),
      service: maybe(
        fc.record(
          {
            port,
            users: fc.array(word),
            restart: fc.array(word),
            update: fc.record({ command: fc.array(word) }),
          },
          { requiredKeys: ["port"] },
        ),
      ),
      retry: fc.dictionary(fc.constantFrom("firstSeconds", "maxSeconds", "x"), value),
      log: fc.dictionary(fc.constantFrom("level", "format"), value),
    },
    { requiredKeys: ["name", "gates"] },
  )
  .map((each) => JSON.stringify(each));
const text = fc.oneof(
  { weight: 3, arbitrary: file },
  { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc
      .array(
        fc.oneof(word, fc.constantFrom("gates", ":", "\n", "\n  ", "- ", "{", "}", "[", "]", '"', "#")),
        {
          maxLength: 40,
        },
      )
      .map((parts) => parts.join("")),
  },
);

test("whatever stands in the file, it is taken, or refused with the place; and what is taken makes a unit of whole lines", async () => {
  await fc.assert(
    fc.asyncProperty(text, word, async (written, inside) => {
      const read = async (path: string): Promise<string> => (path === "/agent.yaml" ? written : inside);
      try {
        const config = await loadFile("/agent.yaml", agentSchema, {
          environment: { X: inside },
          filesMustExist: false,
          read,
        });
        assert.ok(
          config.gates.every(
            ({ knownHosts, fingerprints }) => knownHosts !== undefined || fingerprints.length > 0,
          ),
        );
        const [unit] = installPlan(config, { configFile: "/agent.yaml", program: "/postern", user: "agent" });
        // No value of the file may become a line of its own.
        assert.ok(
          (unit?.text ?? "").split("\n").every((line) => line === "" || /^(?:[#[]|[A-Za-z]+=)/.test(line)),
        );
      } catch (error) {
        assert.ok(error instanceof ConfigInvalid && error.problems.length > 0, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
