import { readDocumentsOnce } from "#base";
import type { CliContext } from "#cli";

// Before any schema is made, so all else is imported later.
readDocumentsOnce();
const { run } = await import("#cli");

const context: CliContext = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  onSignal: (signal, then) => {
    process.on(signal, then);
    return { [Symbol.dispose]: () => void process.off(signal, then) };
  },
  app: async () => (await import("#app")).app,
};

// A reader that goes away (`postern status | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const exitCode = await run(process.argv.slice(2), context);
// What is written to a pipe may still be on its way: end by running out of work. Only where something does not end, such as a write to a
// reader that has stopped, end by force.
process.exitCode = exitCode;
setTimeout(() => process.exit(), 5_000).unref();
// Of a file or /dev/null there is nothing to let go.
if ("unref" in process.stdin) process.stdin.unref();
