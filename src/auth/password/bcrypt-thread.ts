/** The thread that compares bcrypt hashes: { question, text, hash } in, { question, matches } out. */
import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";

const port = parentPort;
port?.on("message", ({ question, text, hash }: { question: number; text: string; hash: string }) => {
  let matches = false;
  try {
    matches = compareSync(text, hash);
  } catch {
    // A hash that the library refuses matches nothing.
  }
  port.postMessage({ question, matches });
});
