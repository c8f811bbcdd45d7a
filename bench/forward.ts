import { readFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Child } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { freePort } from "#test/support/ports";
import { stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds } from "./cpu.ts";
import { compiledCopy } from "./compiled.ts";
import type { Sample, Size } from "./schema.ts";
import { quantile } from "./statistics.ts";

/** A client that forwards one port, beside another: `ssh -L` and `postern forward -L`, both with AES-GCM. */
const clients = ["ssh -L", "postern -L"];
const host = "127.0.0.1";
const patienceMs = 600_000;
const cipher = "Ciphers=aes128-gcm@openssh.com";

/** `-L` or `-R` of a free port to a port; gives the client and the port. */
async function forwarder(
  lab: ClientLab,
  client: string,
  flag: "-L" | "-R",
  to: number,
): Promise<{ readonly child: Child; readonly port: number }> {
  const port = await freePort(host);
  const spec = `${host}:${port}:${host}:${to}`;
  const known = ["-o", `UserKnownHostsFile=${lab.sshd.knownHosts}`, "-o", "BatchMode=yes", "-o", cipher];
  const child = client.startsWith("postern")
    ? lab.forward(["-q", "-o", cipher, flag, spec])
    : new Child(stranger("ssh"), [
        "-F",
        "none",
        "-N",
        "-i",
        lab.key.path,
        ...known,
        "-p",
        String(lab.sshd.port),
        flag,
        spec,
        lab.destination.replace(/:\d+$/, ""),
      ]);
  await until(`${client} to listen`, () => reachable(port));
  return { child, port };
}

/** To connect would be a connection more: the kernel's table is asked. */
async function reachable(port: number): Promise<boolean> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const table = await readFile("/proc/net/tcp", "latin1");
  return new RegExp(`^ *\\d+: 0100007F:${hex} 00000000:0000 0A `, "m").test(table);
}

async function bulk(client: string, flag: "-L" | "-R", bytes: number): Promise<Sample> {
  const copy = await compiledCopy();
  await using lab = await startClientLab();
  const sinkPort = await freePort(host);
  await using sink = new Child(copy, ["sink", String(sinkPort)]);
  await sink.waitForStdout(/ready/);
  const { child, port } = await forwarder(lab, client, flag, sinkPort);
  await using _child = child;
  const before = await treeCpuSeconds(child.pid);
  const began = performance.now();
  await using generator = new Child(copy, ["generate", String(port), String(bytes)]);
  const { code, stderr } = await generator.outcome(patienceMs);
  if (code !== 0) throw new Error(stderr);
  await sink.outcome(patienceMs);
  const seconds = (performance.now() - began) / 1000;
  const cpu = (await treeCpuSeconds(child.pid)) - before;
  return { proxyCpuSecondsPerGb: (cpu * 1e9) / bytes, megabytesPerSecond: bytes / 1e6 / seconds };
}

/** Round trips of 64 bytes through the tunnel, alone, or on each of 100 connections at once. */
async function echo(client: string, connections: number, trips: number): Promise<Sample> {
  await using lab = await startClientLab();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { child, port } = await forwarder(lab, client, "-L", (server.address() as AddressInfo).port);
  await using _child = child;
  const sockets: Socket[] = [];
  try {
    for (let n = 0; n < connections; n++) {
      const socket = connect({ port, host, noDelay: true });
      sockets.push(socket);
      await trip(socket);
    }
    for (let n = 0; n < Math.ceil(500 / connections); n++) await Promise.all(sockets.map(trip));
    const before = await treeCpuSeconds(child.pid);
    const micros: number[] = [];
    const each = Math.ceil(trips / connections);
    const one = async (socket: Socket): Promise<void> => {
      for (let n = 0; n < each; n++) micros.push(await trip(socket));
    };
    await Promise.all(sockets.map(one));
    const cpu = (await treeCpuSeconds(child.pid)) - before;
    return {
      p50Micros: quantile(micros, 0.5),
      p99Micros: quantile(micros, 0.99),
      proxyCpuMicrosPerTrip: (cpu * 1e6) / (each * connections),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const keystroke = Buffer.alloc(64, "k");

function trip(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let due = keystroke.length;
    const take = (chunk: Buffer): void => {
      due -= chunk.length;
      if (due > 0) return;
      socket.off("data", take);
      socket.off("close", lost);
      resolve((performance.now() - began) * 1000);
    };
    const lost = (): void => reject(new Error("the tunnel closed a connection"));
    socket.on("data", take);
    socket.once("close", lost);
    socket.write(keystroke);
  });
}

export const forwardCases: readonly BenchCase[] = [
  {
    name: "forward-up",
    summary: "bulk through -L, from a generator to a sink: the client's CPU",
    subjects: clients,
    measure: (_stage, subject, size: Size) => bulk(subject, "-L", size.bulkBytes),
  },
  {
    name: "forward-down",
    summary: "the same the other way, through -R",
    subjects: clients,
    measure: (_stage, subject, size: Size) => bulk(subject, "-R", size.bulkBytes),
  },
  {
    name: "forward-echo",
    summary: "round trips of 64 bytes through -L, one after the other",
    subjects: clients,
    measure: (_stage, subject, size: Size) => echo(subject, 1, size.echoTrips),
  },
  {
    name: "forward-echo-100",
    summary: "the same on 100 connections at once",
    subjects: clients,
    measure: (_stage, subject, size: Size) => echo(subject, 100, size.echoTrips),
  },
];
