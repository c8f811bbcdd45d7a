/** The walls between rooms (ADR 2). A room imports only rooms of its row, by door; the table is the law, and this file its guard. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

interface Row {
  /** Rooms it may import. */
  readonly rooms: readonly string[];
  /** Of those, rooms from which it may take types alone. */
  readonly typesOnly?: readonly string[];
  /** Modules of Node and packages it may use; absent: any. */
  readonly outside?: readonly string[];
}

const engine = [
  "ssh/wire",
  "ssh/messages",
  "ssh/algorithms",
  "ssh/keys",
  "ssh/agent",
  "ssh/transport",
  "ssh/userauth",
  "ssh/connection",
  "ssh/sftp",
];
const adapter: Row = { rooms: ["base", "contract", ...engine, "link"] };
const adapters = ["acme", "entry", "serve", "auth", "credential", "dialer", "audit", "store", "tunnel"];

/** To move a wall, change its row here, the picture in docs/tour.md, and say why in the commit. */
const table: Readonly<Record<string, Row>> = {
  base: { rooms: [] },
  "ssh/wire": { rooms: ["base"], outside: [] },
  "ssh/messages": { rooms: ["base", "ssh/wire"], outside: [] },
  "ssh/algorithms": {
    rooms: ["base", "ssh/wire", "ssh/messages"],
    // The native part is loaded as Node loads addons; there is no other way.
    outside: ["node:crypto", "node:url", "@noble/ciphers"],
  },
  "ssh/keys": {
    rooms: ["base", "ssh/wire", "ssh/messages", "ssh/algorithms"],
    // The thread is for bcrypt of encrypted key files: a second of work that must not hold up the event loop.
    outside: [
      "node:crypto",
      "node:net",
      "node:worker_threads",
      "node:module",
      "@noble/ciphers",
      "bcrypt-pbkdf",
    ],
  },
  "ssh/agent": { rooms: ["base", "ssh/wire", "ssh/keys"], outside: [] },
  "ssh/transport": {
    rooms: ["base", "ssh/wire", "ssh/messages", "ssh/algorithms", "ssh/keys"],
    outside: ["node:crypto"],
  },
  "ssh/userauth": {
    rooms: ["base", "ssh/wire", "ssh/messages", "ssh/algorithms", "ssh/keys", "ssh/transport"],
    outside: ["node:crypto"],
  },
  "ssh/connection": {
    rooms: ["base", "ssh/wire", "ssh/messages", "ssh/algorithms", "ssh/keys", "ssh/transport"],
    outside: ["node:stream"],
  },
  "ssh/sftp": { rooms: ["base", "ssh/wire"], outside: [] },
  contract: {
    rooms: ["base", "ssh/keys", "ssh/messages", "ssh/transport"],
    typesOnly: ["base", "ssh/keys", "ssh/messages", "ssh/transport"],
    outside: ["node:stream", "zod"],
  },
  link: { rooms: ["base", ...engine] },
  pipe: { rooms: ["base", "contract", ...engine], outside: [] },
  sftp: { rooms: ["base", "contract", "ssh/wire", "ssh/sftp"], outside: ["node:crypto"] },
  splice: { rooms: ["base", "link"], outside: ["node:net", "node:stream"] },
  // Decides and counts, and is handed its streams: what it may use of Node is for its checks.
  pool: { rooms: ["base", "contract"], outside: ["node:crypto", "node:net", "node:stream", "node:tls"] },
  reach: { rooms: ["base", "contract"], outside: ["node:net", "node:stream"] },
  gateway: {
    rooms: ["base", "contract", ...engine, "link", "pipe", "sftp", "splice"],
    outside: ["node:crypto", "node:net", "node:stream"],
  },
  ...Object.fromEntries(adapters.map((room) => [room, adapter])),
  "http-proxy": {
    rooms: ["base", "contract"],
    // Types of sockets that it is handed; it opens none.
    outside: [
      "node:crypto",
      "node:http",
      "node:http2",
      "node:net",
      "node:path",
      "node:stream",
      "node:tls",
      "zod",
    ],
  },
  // Its files are handed in; the network is its library's.
  acme: { rooms: ["base", "contract"], outside: ["acme-client", "node:crypto", "node:path", "zod"] },
  admin: {
    rooms: ["base", "contract"],
    outside: ["node:crypto", "zod"],
  },
  // Beside the gateway, on the same engine: what people run at the other end of the wire.
  client: { rooms: ["base", ...engine, "link"] },
  // On devices: what the client does, for years and by itself.
  "device-agent": { rooms: ["base", "client", "ssh/keys"] },
  config: { rooms: ["base", "contract", "ssh/algorithms", ...adapters, "http-proxy", "admin"] },
  // Files of other programs in, text of ours out: it needs to know what our configuration says, and nothing of what becomes of it.
  import: { rooms: ["base", "contract", "config"] },
  app: {
    rooms: [
      "base",
      "contract",
      ...engine,
      "link",
      "pipe",
      "splice",
      "pool",
      "reach",
      "gateway",
      ...adapters,
      "http-proxy",
      "admin",
      "config",
    ],
  },
  // Keys and password hashes are made at the command line: pure functions, which a way through app would only pass on.
  cli: {
    rooms: [
      "base",
      "contract",
      "app",
      "client",
      "config",
      "device-agent",
      "import",
      "auth",
      "audit",
      "admin",
      "ssh/keys",
    ],
    typesOnly: ["contract"],
  },
  // What other programs import as "postern/ssh": it passes on, and nothing here imports it.
  library: { rooms: ["base", ...engine, "link"], outside: [] },
  // main.ts alone.
  "": { rooms: ["base", "cli", "app"], outside: [] },
};

const sourceDir = resolve(import.meta.dirname, "../src");
const rooms = Object.keys(table);

interface Import {
  readonly from: string;
  readonly name: string;
  readonly type: boolean;
  readonly passedOn: boolean;
}

interface Source {
  /** Relative to src. */
  readonly file: string;
  readonly room: string | undefined;
  readonly isTest: boolean;
  readonly text: string;
  readonly imports: readonly Import[];
}

const sources: readonly Source[] = readdirSync(sourceDir, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .sort()
  .map((file) => {
    const text = readFileSync(join(sourceDir, file), "utf8");
    return {
      file,
      room: roomOf(file),
      isTest: file.endsWith(".test.ts"),
      text,
      imports: importsOf(file, text),
    };
  });

/** The longest room that the file's folder lies in. */
function roomOf(file: string): string | undefined {
  const folder = dirname(file);
  if (folder === ".") return file === "main.ts" ? "" : undefined;
  return rooms
    .filter((room) => room !== "" && (folder === room || folder.startsWith(`${room}/`)))
    .sort((a, b) => b.length - a.length)[0];
}

/** Every import: static, type, passed on, dynamic, and types by import("…"). The formatter sees to quotes and line beginnings. */
function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  const statement =
    /^(import|export)\s+(type\s+)?(?:(?:[\w$*]+|\*\s+as\s+\w+|(?:\w+\s*,\s*)?\{([^}]*)\})\s+from\s+)?"([^"]+)"/gm;
  for (const [, word, typeWord, list, name = ""] of text.matchAll(statement)) {
    const words = (list ?? "").split(",").filter((each) => each.trim() !== "");
    const type =
      typeWord !== undefined || (words.length > 0 && words.every((each) => each.trim().startsWith("type ")));
    found.push({ from, name, type, passedOn: word === "export" });
  }
  const dynamic = /(typeof\s+)?\b(?:import|require)\(\s*(?:"([^"]+)"|([^)]*))\)/g;
  for (const [, typeWord, name, computed] of codeOnly(text).matchAll(dynamic)) {
    found.push({
      from,
      name: name ?? `computed: ${computed}`,
      type: typeWord !== undefined,
      passedOn: false,
    });
  }
  return found;
}

/** Without comment lines, in which examples of imports stand. */
function codeOnly(text: string): string {
  return text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
}

/** Imports by a computed name, with the reason for each. */
const computedImports: Readonly<Record<string, string>> = {
  "ssh/keys/bcrypt-kdf.ts": "the source of a thread, which is handed the place of bcrypt-pbkdf",
};

/** All offences of one sort, told at once. */
function none(offences: readonly string[]): void {
  assert.deepEqual(offences, []);
}

test("there is enough to look at", () => {
  assert.ok(sources.length > 150, `${sources.length} files`);
  const imports = sources.flatMap(({ imports: each }) => each);
  assert.ok(imports.length > 3 * sources.length, `${imports.length} imports`);
  // Each form that the walk must not overlook occurs somewhere.
  assert.ok(
    imports.some(({ type }) => type),
    "type imports",
  );
  assert.ok(
    imports.some(({ passedOn }) => passedOn),
    "export from",
  );
  assert.ok(
    imports.some(({ from, name }) => from === "main.ts" && name === "#app"),
    "dynamic imports",
  );
});

test("the walk sees every form of import", () => {
  const text = [
    'import "./a.ts";',
    'import type { B } from "#b";',
    'import { type C, c } from "#c";',
    'import { type D } from "#d";',
    'import * as e from "e";',
    'export * from "#f";',
    "export {",
    "  g,",
    '} from "#g";',
    'const h = await import("#h");',
    'type I = typeof import("#i");',
    "await import(name);",
    '// import("#comment")',
    'const text = "from \\"#text\\"";',
  ].join("\n");
  const shown = importsOf("x.ts", text).map(
    ({ name, type, passedOn }) => `${name}${type ? " type" : ""}${passedOn ? " on" : ""}`,
  );
  assert.deepEqual(
    shown.join(", "),
    "./a.ts, #b type, #c, #d type, e, #f on, #g on, #h, #i type, computed: name",
  );
});

test("every file stands in a room, and every row has a room", () => {
  none(
    sources.filter(({ room }) => room === undefined).map(({ file }) => `${file} is in no room of the table`),
  );
  none(
    rooms
      .filter((room) => room !== "" && !existsSync(join(sourceDir, room, "index.ts")))
      .map((room) => `${room} has no door`),
  );
});

test("a room imports only rooms of its row, by door", () => {
  const offences: string[] = [];
  for (const { file, room = "", isTest, imports } of sources) {
    const row = table[room];
    for (const { name, type } of imports) {
      if (!name.startsWith("#")) continue;
      const target = name.slice(1);
      if (target.startsWith("test/")) {
        if (!isTest) offences.push(`${file} imports ${name}, which is for tests`);
      } else if (!rooms.includes(target)) offences.push(`${file} imports ${name}, which is no door`);
      else if (target === room) {
        if (!isTest) offences.push(`${file} imports its own door`);
      } else if (row?.rooms.includes(target) !== true)
        offences.push(`${file} imports ${name}: not in the row of ${room || "main.ts"}`);
      else if (!isTest && !type && row.typesOnly?.includes(target) === true)
        offences.push(`${file} takes more than types from ${name}`);
    }
  }
  none(offences);
});

test("relative imports stay in their room and name a file", () => {
  const offences: string[] = [];
  for (const { file, room, imports } of sources) {
    for (const { name } of imports) {
      if (!name.startsWith(".")) continue;
      const target = relative(sourceDir, resolve(sourceDir, dirname(file), name));
      if (target.startsWith("..") || roomOf(target) !== room)
        offences.push(`${file} leaves its room by ${name}`);
      else if (!existsSync(join(sourceDir, target))) offences.push(`${file}: there is no ${name}`);
    }
  }
  none(offences);
});

test("no file passes on another room, nothing is imported by a computed name, nothing is exported by default", () => {
  const offences = sources.flatMap(({ file, text, imports }) => [
    ...imports
      .filter(({ name, passedOn }) => passedOn && !name.startsWith(".") && file !== "library/index.ts")
      .map(({ name }) => `${file} passes on ${name}`),
    ...imports
      .filter(({ name }) => name.startsWith("computed: ") && !(file in computedImports))
      .map(({ name }) => `${file} imports ${name}`),
    ...(/^export default\b/m.test(text) ? [`${file} has a default export`] : []),
  ]);
  none(offences);
});

test("rooms use of Node and of packages only what their row names", () => {
  const offences: string[] = [];
  for (const { file, room = "", isTest, imports } of sources) {
    const outside = table[room]?.outside;
    if (isTest || outside === undefined) continue;
    for (const { name } of imports) {
      if (/^(?:#|\.|computed: )/.test(name)) continue;
      // Everybody has it anyway; but the global one is asked of a getter each time.
      if (name === "node:buffer") continue;
      if (!outside.some((each) => name === each || name.startsWith(`${each}/`)))
        offences.push(`${file} imports ${name}`);
    }
  }
  none(offences);
});

test("there is no circle, neither of rooms nor of files", () => {
  const byRoom = new Map(Object.entries(table).map(([room, row]) => [room, row.rooms]));
  none(circlesIn(byRoom));
  const byFile = new Map<string, string[]>();
  for (const { file, isTest, imports } of sources) {
    if (isTest) continue;
    const targets = imports.flatMap(({ name, type }) => {
      if (type) return [];
      if (name.startsWith(".")) return [relative(sourceDir, resolve(sourceDir, dirname(file), name))];
      return name.startsWith("#") && !name.startsWith("#test/") ? [`${name.slice(1)}/index.ts`] : [];
    });
    byFile.set(file, targets);
  }
  none(circlesIn(byFile));
});

/** Each circle once, as a path. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (node: string, path: readonly string[]): void => {
    const at = path.indexOf(node);
    if (at >= 0) circles.push([...path.slice(at), node].join(" -> "));
    if (at >= 0 || done.has(node)) return;
    for (const next of graph.get(node) ?? []) walk(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) walk(node, []);
  return circles;
}

test("a circle would be found", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c", "d"]],
    ["c", ["b"]],
  ]);
  assert.deepEqual(circlesIn(graph), ["b -> c -> b"]);
});

test("every door opens with the law of its room", () => {
  const doors = rooms
    .filter((room) => room !== "")
    .map((room) => [room, readFileSync(join(sourceDir, room, "index.ts"), "utf8")] as const);
  none(
    doors
      .filter(([, text]) => !/^\/\*\*[\s\S]*?\bLaw:[\s\S]*?\*\//.test(text))
      .map(([room]) => `${room} has no law`),
  );
});

test("no file is longer than 500 lines", () => {
  none(sources.filter(({ text }) => text.split("\n").length > 501).map(({ file }) => `${file} is too long`));
});

test("nothing bears a name that says nothing", () => {
  const empty = /(?:^|[-./])(?:managers?|helpers?|utils?|utilities|common|misc|stuff)(?:[-./]|$)/;
  const declared =
    /\b(?:(?:class|interface|type)\s+(I[A-Z][a-z]\w*|\w*(?:Manager|Helper|Utils?|Impl))|(?:function|const|let)\s+(get[A-Z]\w*))\b/g;
  // Words that begin with I of their own right.
  const fine = /^I(?:P|d[A-Z]?|n[a-z]|s[A-Z]|mport|ssue|tem|dentity|gnore|nfo)/;
  const offences = sources.flatMap(({ file, text }) => [
    ...(empty.test(file) ? [file] : []),
    ...[...codeOnly(text).matchAll(declared)]
      .map(([, type, value]) => type ?? value ?? "")
      .filter((name) => !fine.test(name))
      .map((name) => `${file}: ${name}`),
  ]);
  none(offences);
});

test("only main.ts may end the process", () => {
  none(
    sources
      .filter(
        ({ file, isTest, text }) =>
          !isTest && file !== "main.ts" && /\bprocess\.(?:exit\(|reallyExit|abort\()/.test(codeOnly(text)),
      )
      .map(({ file }) => file),
  );
});
