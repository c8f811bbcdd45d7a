import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { pbkdf } from "bcrypt-pbkdf";
import { keyErrors } from "./errors.ts";

/** ssh-keygen's default is 24, its manual speaks of 100; 4096 take about a minute here. */
const maxRounds = 4096;

/** Runs in the worker: plain JavaScript, since it is handed over as text and so needs no file of its own in any build. */
const workerSource = `
const { parentPort, workerData } = require("node:worker_threads");
const { pbkdf } = require(workerData.module);
const { passphrase, salt, bytes, rounds } = workerData;
const key = new Uint8Array(bytes);
const failed = pbkdf(passphrase, passphrase.length, salt, salt.length, key, bytes, rounds) !== 0;
passphrase.fill(0);
parentPort.postMessage(failed ? undefined : key, failed ? [] : [key.buffer]);
`;

/**
 * bcrypt_pbkdf as openssh-key-v1 uses it. It costs about 15 ms of processor time a round (0.25 s for an ordinary key), which would
 * stop every session, so it runs in a thread of its own. Throws OPERATOR_KEY_INVALID for an empty salt and OPERATOR_KEY_UNSUPPORTED
 * for more rounds than 4096. The caller wipes the key.
 */
export async function bcryptKdf(
  passphrase: Uint8Array,
  salt: Uint8Array,
  rounds: number,
  bytes: number,
): Promise<Uint8Array> {
  if (salt.length === 0 || rounds === 0) throw new keyErrors.OPERATOR_KEY_INVALID("no salt or no rounds");
  if (rounds > maxRounds) throw new keyErrors.OPERATOR_KEY_UNSUPPORTED(`${rounds} rounds of bcrypt`);
  const module = resolveModule();
  const key =
    module === undefined
      ? deriveHere(passphrase, salt, rounds, bytes)
      : await deriveInWorker({ module, passphrase, salt, rounds, bytes });
  if (key === undefined) throw new keyErrors.OPERATOR_KEY_INVALID("bcrypt refuses its parameters");
  return key;
}

/** Undefined inside a single-file executable, where there is no file for a worker to load. */
function resolveModule(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve("bcrypt-pbkdf");
  } catch {
    return undefined;
  }
}

function deriveHere(
  passphrase: Uint8Array,
  salt: Uint8Array,
  rounds: number,
  bytes: number,
): Uint8Array | undefined {
  const key = new Uint8Array(bytes);
  const failed = pbkdf(passphrase, passphrase.length, salt, salt.length, key, bytes, rounds) !== 0;
  return failed ? undefined : key;
}

interface WorkerInput {
  readonly module: string;
  readonly passphrase: Uint8Array;
  readonly salt: Uint8Array;
  readonly rounds: number;
  readonly bytes: number;
}

function deriveInWorker(workerData: WorkerInput): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerSource, { eval: true, workerData });
    worker.once("message", (key: Uint8Array | undefined) => resolve(key));
    worker.once("error", reject);
    worker.once("exit", () => resolve(undefined)); // after a message it changes nothing
  });
}
