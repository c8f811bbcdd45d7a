import { Worker } from "node:worker_threads";
import { compare } from "bcryptjs";

/**
 * bcrypt is JavaScript here (OpenSSL has none), so it runs on a thread of its own: a comparison of cost 12 takes a quarter of a
 * second. Where a thread cannot be started (a single-file executable holds no second file), it runs on the event loop in slices.
 */
type Answer = (result: boolean | undefined) => void;

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, Answer>;
}

let thread: Thread | undefined;
let threadless = false;
let lastQuestion = 0;

/** Constant in time for one hash; bytes that are no UTF-8 never match. */
export async function bcryptMatches(password: Uint8Array, hash: string): Promise<boolean> {
  const text = Buffer.from(password).toString("utf8");
  const faithful = Buffer.from(text, "utf8").equals(password);
  const matches = (await onThread(text, hash)) ?? (await compare(text, hash));
  return matches && faithful;
}

function onThread(text: string, hash: string): Promise<boolean | undefined> {
  const found = startedThread();
  if (found === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const question = ++lastQuestion;
    found.waiting.set(question, resolve);
    found.worker.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    found.worker.postMessage({ question, text, hash });
  });
}

function startedThread(): Thread | undefined {
  if (thread !== undefined || threadless) return thread;
  // The build turns .ts into .js: the file beside this one ends as this one does.
  const file = import.meta.url.endsWith(".ts") ? "./bcrypt-thread.ts" : "./bcrypt-thread.js";
  let worker: Worker;
  try {
    worker = new Worker(new URL(file, import.meta.url));
  } catch {
    threadless = true;
    return undefined;
  }
  const waiting = new Map<number, Answer>();
  const started = { worker, waiting };
  worker.on("message", ({ question, matches }: { question: number; matches: boolean }) => {
    waiting.get(question)?.(matches);
    waiting.delete(question);
    if (waiting.size === 0) worker.unref();
  });
  const fallBack = (): void => {
    threadless = true;
    thread = undefined;
    for (const answer of waiting.values()) answer(undefined);
    waiting.clear();
  };
  worker.on("error", fallBack);
  worker.on("exit", fallBack);
  thread = started;
  return started;
}
