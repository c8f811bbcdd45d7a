/**
 * `npm run timing`: how long refusals take, for names that can log in and for names that cannot (docs/threat-model.md, "Timing"). A
 * client of its own sends one wrong proof on each connection and takes the time from the request to the answer, so that neither the
 * handshake nor a process is in it. Each name has a floor of its own, drawn by lot: so names are compared as groups, by rank.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Pieces, postern, startGateway } from "#test/support/gateway";
import { bodyOf, startHttps } from "#test/support/https-server";
import { startParts, upstreamTo } from "#test/support/world";
import {
  askedKey,
  refused,
  type Told,
  type Wrong,
  wrongAnswers,
  wrongKey,
  wrongPassword,
} from "./refusals.ts";

const { values } = parseArgs({
  options: {
    names: { type: "string", default: "12" },
    tries: { type: "string", default: "15" },
    lanes: { type: "string", default: "2" },
    only: { type: "string", default: "" },
  },
});
const [names, tries, lanes] = [values.names, values.tries, values.lanes].map(Number) as [
  number,
  number,
  number,
];

interface Situation {
  readonly title: string;
  readonly config: Pieces;
  readonly rules: readonly Pieces[];
  /** Groups of names: the first can log in. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly wrong: Wrong;
}

const some = (prefix: string): string[] => Array.from({ length: names }, (_, at) => `${prefix}-${at}`);

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

/** The chance that the ranks of two groups differ so much by accident (Mann and Whitney, by the normal distribution). */
function byAccident(one: readonly number[], two: readonly number[]): number {
  const wins = one.reduce(
    (sum, a) => sum + two.reduce((more, b) => more + (a > b ? 1 : a === b ? 0.5 : 0), 0),
    0,
  );
  const [n, m] = [one.length, two.length];
  const z = Math.abs(wins - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
  // Abramowitz and Stegun, 26.2.17.
  const t = 1 / (1 + 0.2316419 * z);
  const tail =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return Math.min(1, (2 * Math.exp((-z * z) / 2) * tail) / Math.sqrt(2 * Math.PI));
}

async function measure({ title, config, rules, groups, wrong }: Situation): Promise<void> {
  if (!title.includes(values.only)) return;
  await using gateway = await startGateway({
    config: { log: { level: "fatal" }, ...config },
    rules,
    knownPort: true,
  });
  const all = Object.values(groups).flat();
  const times = new Map(all.map((name) => [name, [] as Told[]]));
  // Round by round, each in another order, so that what the machine does besides falls upon all alike; the first only warms up.
  for (let round = -1; round < tries; round++) {
    const left = all
      .map((name) => ({ name, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ name }) => name);
    const lane = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        const told = await refused(gateway, name, wrong);
        if (round >= 0) times.get(name)?.push(told);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }
  console.log(`\n${title}: ${tries} tries for each of ${names} names in each group`);
  for (const what of ["question", "refusal"] as const) {
    const medians = Object.entries(groups).map(([group, members]) => {
      const each = members.map((name) => median((times.get(name) ?? []).flatMap((told) => told[what] ?? [])));
      return [group, each] as const;
    });
    const [[, known] = ["", []]] = medians;
    if (known.some(Number.isNaN)) continue;
    for (const [at, [group, each]] of medians.entries()) {
      const range = `${Math.min(...each).toFixed(1)} to ${Math.max(...each).toFixed(1)}`;
      const told = at === 0 ? "" : `  by accident: ${byAccident(known, each).toFixed(2)}`;
      const label = `${what}, ${group}`;
      console.log(`  ${label.padEnd(32)} median ${median(each).toFixed(1)} ms, names ${range} ms${told}`);
    }
  }
}

await using parts = await startParts({ sshd: { config: ["PasswordAuthentication yes", "MaxAuthTries 20"] } });
const hashed = await postern(["key", "hash"], { stdin: { data: "right\n" } });
const hash = hashed.stdout.toString().trim();
const listed = some("ada");
const folder = parts.keys.folder.at("timing");
mkdirSync(folder);
for (const name of listed) writeFileSync(`${folder}/${name}`, `${parts.identity.publicLine}\n`);
const match = { userPattern: "(ada|eve)-[0-9]+" };
const upstream = upstreamTo(parts);

await measure({
  title: "passwords of users, scrypt",
  config: { users: { people: Object.fromEntries(listed.map((name) => [name, { passwords: [hash] }])) } },
  rules: [{ name: "users", match, login: [{ kind: "password", users: {} }], upstream }],
  groups: {
    "among the users": listed,
    "not among them": some("eve"),
    "no rule for the name": some("nobody"),
  },
  wrong: wrongPassword,
});
await measure({
  title: "passwords that the upstream checks",
  config: {},
  rules: [
    {
      name: "upstream",
      match,
      login: [{ kind: "password", check: "upstream" }],
      upstream: { ...upstream, credentials: [{ kind: "client-password" }] },
    },
  ],
  groups: { "led to the upstream": listed, "no rule for the name": some("nobody") },
  wrong: wrongPassword,
});
await measure({
  title: "keys in files",
  config: {},
  rules: [{ name: "files", match, login: [{ kind: "publickey", files: [`${folder}/{user}`] }], upstream }],
  groups: {
    "with a file of keys": listed,
    "without a file": some("eve"),
    "no rule for the name": some("nobody"),
  },
  wrong: wrongKey,
});
await measure({
  title: "keys on the upstream",
  config: {},
  rules: [{ name: "there", match, login: [{ kind: "publickey", upstreamFile: "keys-of-{user}" }], upstream }],
  groups: { "led to the upstream": listed, "no rule for the name": some("nobody") },
  wrong: wrongKey,
});

/** Between a question and its answer over HTTPS, as it may be far away. */
const later = (then: () => void): void => void setTimeout(then, 20 + Math.random() * 40);
await using keyServer = await startHttps(parts.keys.folder, "key-server", (request, response) => {
  later(() => {
    if (request.url?.startsWith("/ada-") !== true) response.writeHead(404);
    response.end(`${parts.identity.publicLine}\n`);
  });
});
await using decider = await startHttps(parts.keys.folder, "decider", (request, response) => {
  void bodyOf(request).then(() =>
    later(() => response.end(JSON.stringify({ allow: false, reason: "measured" }))),
  );
});

const urls = { urls: [`${keyServer.origin}/{user}.keys`], tlsAuthorities: keyServer.certificate };
for (const [title, more] of [
  ["keys from addresses", {}],
  ["keys from addresses, each time anew", { cacheSeconds: 0 }],
] as const)
  await measure({
    title,
    config: {},
    rules: [{ name: "urls", match, login: [{ kind: "publickey", ...urls, ...more }], upstream }],
    groups: {
      "with keys at the address": listed,
      "none there": some("eve"),
      "no rule for the name": some("nobody"),
    },
    wrong: wrongKey,
  });

const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const person = { passwords: [hash], keys: [parts.identity.publicLine], totp: secret };
const users = { people: Object.fromEntries(listed.map((name) => [name, person])) };
const ofUsers = {
  "among the users": listed,
  "not among them": some("eve"),
  "no rule for the name": some("nobody"),
};
for (const [title, login, wrong] of [
  ["keys of users", [{ kind: "publickey", users: {} }], wrongKey],
  ["keys of users, asked about", [{ kind: "publickey", users: {} }], askedKey],
  [
    "passwords of users, by prompts",
    [{ kind: "password", users: {}, methods: ["keyboard-interactive"] }],
    wrongAnswers,
  ],
] as const)
  await measure({
    title,
    config: { users },
    rules: [{ name: "users", match, login, upstream }],
    groups: ofUsers,
    wrong,
  });
await measure({
  title: "codes first",
  config: { users },
  rules: [
    {
      name: "codes",
      match,
      login: [{ kind: "totp" }, { kind: "publickey", users: {} }],
      require: ["totp", "publickey"],
      upstream,
    },
  ],
  groups: ofUsers,
  wrong: wrongAnswers,
});

const webhook = { kind: "webhook", url: `${decider.origin}/`, tlsAuthorities: decider.certificate };
const shown = { "shown to the webhook": listed, "no rule for the name": some("nobody") };
for (const [title, more, wrong] of [
  ["webhook, keys", {}, wrongKey],
  ["webhook, passwords", { sendPassword: true, methods: ["password"] }, wrongPassword],
] as const)
  await measure({
    title,
    config: {},
    rules: [{ name: "webhook", match, login: [{ ...webhook, ...more }], upstream }],
    groups: shown,
    wrong,
  });

await using asking = await startGateway({
  config: { log: { level: "fatal" }, users, limits: { failureDelaySeconds: 0.2 } },
  knownPort: true,
  rules: [
    {
      name: "asks",
      match,
      login: [{ kind: "password", users: {}, methods: ["keyboard-interactive"] }],
      upstream,
    },
  ],
});
await measure({
  title: "relay",
  config: {},
  rules: [
    {
      name: "relay",
      match,
      login: [{ kind: "relay" }],
      upstream: {
        addresses: [`${asking.host}:${asking.port}`],
        user: "{user}",
        credentials: [{ kind: "relay" }],
        hostKey: { knownHosts: asking.knownHosts },
      },
    },
  ],
  groups: { "led to the upstream": listed, "no rule for the name": some("nobody") },
  wrong: wrongAnswers,
});
