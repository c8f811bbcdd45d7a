/**
 * A program: works at a database of devices as fast as it can until it is killed, and says on stdout what it is about to do and, once
 * that is done, what must be found. Arguments: the database, and a word that no other round has.
 */
import { silentLog, systemClock } from "#base";
import type { Device, Newcomer } from "#contract";
import { openSqliteStore } from "#store";
import { Enrolment, Office } from "#tunnel";

/** One line. */
export type Said =
  /** What is told of it from here on may be found or not. */
  | { readonly begins: string }
  /** Of a device: all that is known of it; without `device` it is forgotten. */
  | { readonly id: string; readonly device?: Device; readonly events: readonly string[] }
  /** Of a token: without `usesLeft` it is forgotten. */
  | { readonly token: string; readonly usesLeft?: number };

if (import.meta.main) {
  const [path = "", round = ""] = process.argv.slice(2);
  await work(path, round);
}

async function work(path: string, round: string): Promise<never> {
  const clock = systemClock;
  const store = openSqliteStore({ path, clock });
  const office = new Office(store, clock);
  const enrolment = new Enrolment({
    store,
    plan: {
      pending: true,
      maxPending: 1000,
      pendingMs: 3_600_000,
      certificate: { tags: [], ports: [22], always: false },
      ports: [22],
    },
    clock,
    log: silentLog,
  });
  const decision = { by: "operator" };
  const say = (said: Said): void => void process.stdout.write(`${JSON.stringify(said)}\n`);
  const sayDevice = async (id: string): Promise<void> => {
    const device = await store.byId(id);
    const events = (await store.logOf(id, 100)).map(({ event }) => event).reverse();
    say({ id, ...(device === undefined ? {} : { device }), events });
  };
  const sayToken = async (id: string): Promise<void> => {
    const usesLeft = (await store.tokens()).find((token) => token.id === id)?.usesLeft;
    say({ token: id, ...(usesLeft === undefined ? {} : { usesLeft }) });
  };
  for (let n = 0; ; n++) {
    const word = `${round}x${n}`;
    const newcomer = (which: string): Newcomer => ({
      fingerprint: `SHA256:${which}${word}`,
      key: `ssh-ed25519 ${which}${word}`,
      from: "192.0.2.7",
    });

    say({ begins: `ask ${word}` });
    const standing = await enrolment.standing(newcomer("p"), {});
    if (standing.kind !== "newcomer" || standing.admission.by !== "pending") throw new Error("cannot ask");
    const { id } = await office.find(standing.admission.code);
    await sayDevice(id);
    const decide = async (what: string, act: () => Promise<unknown>): Promise<void> => {
      say({ begins: `${what} ${id}` });
      await act();
      await sayDevice(id);
    };
    await decide("approve", () =>
      office.approve(id, { name: `p${word}`, tags: ["x".repeat(n % 60)].filter(Boolean) }, decision),
    );
    await decide("rename", () => office.rename(id, `q${word}`, decision));
    await decide("tag", () => office.grant(id, { tags: ["hall1", "shop"] }, decision));
    await decide("revoke", () => office.revoke(id, decision));

    say({ begins: "token" });
    const { token, record } = await office.makeToken({
      tags: ["hall2"],
      ports: [22],
      web: "off",
      names: "*",
      uses: 2,
      lifeMs: 3_600_000,
    });
    await sayToken(record.id);
    say({ begins: `join ${word} ${record.id}` });
    const joined = await enrolment.join(newcomer("t"), { by: "token", token }, `t${word}`);
    if (joined.kind !== "device") throw new Error("cannot join");
    await sayDevice(joined.device.id);
    await sayToken(record.id);
    say({ begins: `token rm ${record.id}` });
    await office.removeToken(record.id);
    await sayToken(record.id);
    if (n % 2 === 0) await decide("rm", () => office.remove(id, decision));
  }
}
