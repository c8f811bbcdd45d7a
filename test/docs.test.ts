/** What is generated is up to date, and what is documented is there. */
import { blameOf, definedErrors, type ErrorCode } from "#base";
import { exitCodes, generatedPages, type CliContext } from "#cli";
import { fixedLimits, parseConfig } from "#config";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");
const sourceDir = join(root, "src");
const files: readonly string[] = readdirSync(sourceDir, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
);

// Every room is loaded, so that every row of every error table is known.
await import("#app");
await import("#client");
await import("#device-agent");

const context: CliContext = {
  stdin: Readable.from([]),
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  environment: {},
  app: async () => (await import("#app")).app,
};
const pages = await generatedPages(context);

for (const [name, text] of pages) {
  test(`docs/${name} is up to date`, () => {
    const committed = readFileSync(join(root, "docs", name), "utf8");
    assert.ok(committed === text, "run: npm run docs");
  });
}

test("every error code of the source is documented, and no other", () => {
  const written = files.flatMap((file) => {
    const text = readFileSync(join(sourceDir, file), "utf8");
    if (!text.includes("defineErrors(")) return [];
    return [...text.matchAll(/^ {2}((?:PEER|MISMATCH|DENIED|UPSTREAM|OPERATOR|BUG)_[A-Z0-9_]+): \{/gm)].map(
      ([, code]) => code ?? "",
    );
  });
  assert.ok(written.length > 40, `${written.length} codes`);
  assert.deepEqual(written.toSorted(), [...definedErrors().keys()].toSorted());
  const page = pages.get("errors.md") ?? "";
  for (const code of written) assert.ok(page.includes(`\`${code}\``), code);
});

test("every error code that is thrown somewhere has a row, and every row is thrown somewhere", () => {
  const text = files.map((file) => readFileSync(join(sourceDir, file), "utf8")).join("\n");
  const used = new Set(
    [...text.matchAll(/\.((?:PEER|MISMATCH|DENIED|UPSTREAM|OPERATOR|BUG)_[A-Z0-9_]+)\b/g)].map(
      ([, code]) => code as ErrorCode,
    ),
  );
  const rows = definedErrors();
  assert.deepEqual(
    [...used].filter((code) => !rows.has(code)),
    [],
  );
  assert.deepEqual(
    [...rows.keys()].filter((code) => !used.has(code)),
    [],
  );
});

test("what people and logs are told is a sentence of its own", () => {
  for (const [code, { user, operator }] of definedErrors()) {
    assert.doesNotThrow(() => blameOf(code), code);
    assert.match(user, /^[A-Z].*[.!?]$/s, `${code}: told to the person`);
    assert.match(
      operator,
      /^[^A-Z\s].*[^.\s]$|^(?:SSH|X11|TCP)\b.*[^.\s]$/s,
      `${code}: told in the log, with a detail in brackets behind it`,
    );
  }
});

/** The value of a constant written as a number or a product of numbers. */
function constantsOf(file: string): Map<string, number> {
  const text = readFileSync(join(sourceDir, `${file}.ts`), "utf8");
  const found = new Map<string, number>();
  for (const [, name = "", expression = ""] of text.matchAll(
    /^(?:export )?const (\w+)(?:: number)? = ([\d_x a-f*]+);/gm,
  )) {
    found.set(
      name,
      expression
        .replaceAll("_", "")
        .split("*")
        .map(Number)
        .reduce((product, factor) => product * factor, 1),
    );
  }
  return found;
}

test("limits that cannot be set are what the documentation says", () => {
  for (const { constant, value } of fixedLimits) {
    const [file = "", name = ""] = constant.split(":");
    assert.equal(constantsOf(file).get(name), value, constant);
  }
});

/** Constants that begin with max, but bound nothing that a stranger could make grow. */
const noLimits = new Set([
  "ssh/connection/window:maxWindowBytes", // the largest value of a uint32
  "gateway/failure-delays:maxRules", // the operator's own
  "gateway/host-key:maxKnownHostsBytes", // the operator's own
  "entry/reception/tls:maxPemBytes", // the operator's own
  "gateway/secured:maxKeyTypes", // known types of keys
]);

test("every limit in the rooms that strangers reach is documented", () => {
  const documented = new Set(fixedLimits.map(({ constant }) => constant));
  const rooms =
    /^(?:link|pipe|gateway|entry|sftp|http-proxy|admin|ssh\/(?:transport|userauth|connection|messages|sftp))\//;
  const missing = files
    .filter((file) => rooms.test(file))
    .map((file) => file.slice(0, -".ts".length))
    .flatMap((file) =>
      [...constantsOf(file).keys()].filter((name) => /^max[A-Z]/.test(name)).map((name) => `${file}:${name}`),
    )
    .filter((constant) => !documented.has(constant) && !noLimits.has(constant));
  assert.deepEqual(missing, [], "give it a row in src/config/fixed-limits.ts");
});

test("the JSON Schema takes what the program takes", async () => {
  const schema = JSON.parse(pages.get("config.schema.json") ?? "{}") as {
    properties: Record<string, unknown>;
    required: string[];
  };
  assert.deepEqual(schema.required, ["listen"]);
  const { config } = await parseConfig('listen: [":22"]', "<test>", "/", {
    environment: {},
    filesMustExist: false,
  });
  // The file it came from, and the rules of one mode, which stand among `rules`.
  const own = ["file", "spliceRules"];
  for (const key of Object.keys(config)) if (!own.includes(key)) assert.ok(key in schema.properties, key);
});

test("every exit code is documented", () => {
  const page = pages.get("cli.md") ?? "";
  for (const code of Object.values(exitCodes)) assert.match(page, new RegExp(`^\\| ${code} \\|`, "m"));
});

test("links between the pages lead somewhere", () => {
  const broken: string[] = [];
  const folder = join(root, "docs");
  const markdown = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".md"),
  );
  for (const file of [
    ...markdown.map((each) => join(folder, each)),
    ...["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md", "packaging/README.md"].map((each) =>
      join(root, each),
    ),
  ]) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      broken.push(`${file} is not there`);
      continue;
    }
    for (const [, target = ""] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      try {
        readFileSync(resolve(file, "..", target));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EISDIR") broken.push(`${file}: ${target}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});
