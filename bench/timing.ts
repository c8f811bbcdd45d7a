/**
 * `npm run timing`: how long refusals take, for names that can log in and for names that cannot (docs/threat-model.md, "Timing"). A
 * client of its own sends one wrong proof on each connection and takes the time from the request to the answer, so that neither the
 * handshake nor a process is in it. Each name has a floor of its own, drawn by lot: so names are compared as groups, by rank.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { parseArgs } from "node:util";
import { Slow } from "#ssh/algorithms";
import { generatePrivateKey } from "#ssh/keys";
import {
  encodeServiceRequest,
  encodeUserauthRequest,
  MSG,
  type UserauthMethod,
  userauthSignedData,
} from "#ssh/messages";
import { payloadOf } from "#ssh/transport";
import { type Gateway, type Pieces, postern, startGateway } from "#test/support/gateway";
import { link } from "#test/support/links";
import { startParts, upstreamTo } from "#test/support/world";

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
  readonly wrong: (user: string, sessionId: Uint8Array) => Promise<UserauthMethod>;
}

const some = (prefix: string): string[] => Array.from({ length: names }, (_, at) => `${prefix}-${at}`);
const service = "ssh-connection";
const key = generatePrivateKey("ssh-ed25519");

async function wrongKey(user: string, sessionId: Uint8Array): Promise<UserauthMethod> {
  const algorithm = "ssh-ed25519";
  const data = userauthSignedData(sessionId, { user, service, algorithm, key: key.blob });
  const made = key.sign(algorithm, data);
  const signature = made instanceof Slow ? await made.run() : made;
  return { method: "publickey", algorithm, key: key.blob, signature };
}

const wrongPassword = async (): Promise<UserauthMethod> => ({
  method: "password",
  password: Buffer.from("wrong"),
});

/** Milliseconds from a wrong proof to its refusal. */
async function refusal(gateway: Gateway, user: string, wrong: Situation["wrong"]): Promise<number> {
  const client = link(connect(gateway.port, gateway.host), "client");
  try {
    await client.established;
    const method = await wrong(user, client.sessionId);
    return await new Promise<number>((resolve, reject) => {
      let sentMs = 0;
      client.attach({
        packet: (packet) => {
          const [number] = payloadOf(packet);
          if (number === MSG.SERVICE_ACCEPT) {
            client.send(encodeUserauthRequest({ ...method, user, service }));
            sentMs = performance.now();
          } else if (number === MSG.USERAUTH_FAILURE) resolve(performance.now() - sentMs);
          else if (number !== MSG.USERAUTH_BANNER) reject(new Error(`message ${number}`));
        },
        closed: ({ kind }) => reject(new Error(`the connection ended: ${kind}`)),
      });
      client.send(encodeServiceRequest("ssh-userauth"));
    });
  } finally {
    client.destroy();
  }
}

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
  const times = new Map(all.map((name) => [name, [] as number[]]));
  // Round by round, each in another order, so that what the machine does besides falls upon all alike; the first only warms up.
  for (let round = -1; round < tries; round++) {
    const left = all
      .map((name) => ({ name, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ name }) => name);
    const lane = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        const ms = await refusal(gateway, name, wrong);
        if (round >= 0) times.get(name)?.push(ms);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }
  console.log(`\n${title}: ${tries} tries for each of ${names} names in each group`);
  const medians = Object.entries(groups).map(
    ([group, members]) => [group, members.map((name) => median(times.get(name) ?? []))] as const,
  );
  const [[, known] = ["", []]] = medians;
  for (const [at, [group, each]] of medians.entries()) {
    const range = `${Math.min(...each).toFixed(1)} to ${Math.max(...each).toFixed(1)}`;
    const told = at === 0 ? "" : `  by accident: ${byAccident(known, each).toFixed(2)}`;
    console.log(`  ${group.padEnd(28)} median ${median(each).toFixed(1)} ms, names ${range} ms${told}`);
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
