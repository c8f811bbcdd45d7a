#!/usr/bin/env node
// Plain JavaScript that any Node from 20 on can read: finds a Node that can run the program, and the form of it that is there.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [oldestMajor, oldestMinor] = [24, 7];

// In a clone the source is what counts, whatever was built from it some time ago; a release has no source.
const source = join(root, "src", "main.ts");
const program = existsSync(source) ? source : join(root, "dist", "main.js");
const [major, minor] = process.versions.node.split(".").map(Number);

if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) {
  // Loading makes much that is soon forgotten: V8's room for new objects would grow by some ten megabytes for it, and stay so, what runs
  // once would be compiled as if it ran for ever, which takes another eight, and old objects would be looked through too late, which
  // takes two. Later all may go on as they like.
  const atFirst = ["--semi-space-growth-factor=1", "--no-opt", "--no-maglev", "--optimize-for-size"];
  for (const flag of atFirst) setFlagsFromString(flag);
  setTimeout(() => {
    const later = ["--semi-space-growth-factor=2", "--opt", "--maglev", "--no-optimize-for-size"];
    for (const flag of later) setFlagsFromString(flag);
  }, 1_000).unref();
  await import(pathToFileURL(program).href);
} else {
  const node = join(root, "node_modules", "node", "bin", "node");
  // The mark keeps a broken installation from starting itself for ever.
  if (existsSync(node) && process.env.POSTERN_NODE === undefined) runBy(node);
  else {
    const wanted = `Node ${oldestMajor}.${oldestMinor} or newer`;
    console.error(
      `postern: this is Node ${process.versions.node}, and ${wanted} is needed: run "npm ci" in ${root}, which brings one along, or install it.`,
    );
    process.exitCode = 1;
  }
}

/** Runs the program by another Node and is, to the outside, that process: its streams, its signals, its end. */
function runBy(node) {
  const args = [program, ...process.argv.slice(2)];
  const env = { ...process.env, POSTERN_NODE: node };
  // Node 22.15 and newer can become the other one: same process, same descriptors.
  if (typeof process.execve === "function") process.execve(node, [node, ...args], env);
  const child = spawn(node, args, { stdio: "inherit", env });
  const signals = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"];
  for (const signal of signals) {
    process.on(signal, () => {
      // A terminal sends these to both of us.
      const fromTerminal = process.stdin.isTTY && (signal === "SIGINT" || signal === "SIGQUIT");
      if (!fromTerminal) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`postern: ${node} cannot be started: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
    if (signal === null) return;
    // Die of the same signal, so that whoever waits for us sees what happened.
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}
