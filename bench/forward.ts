import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Child } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { freePort } from "#test/support/ports";
import { stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds } from "./cpu.ts";
import { compiledCopy } from "./compiled.ts";
import { listening } from "./listening.ts";
import type { Sample, Size } from "./schema.ts";
import type { Stage } from "./stage.ts";
import { quantile } from "./statistics.ts";

/** A client that forwards one port, beside another: `ssh` and `postern forward`, both with AES-GCM. */
const clients = ["ssh", "postern"];
const host = "127.0.0.1";
const patienceMs = 600_000;
const cipher = "Ciphers=aes128-gcm@openssh.com";

type Flag = "-L" | "-R";

/** `-L` or `-R` of a free port to a port, through a server at this port; gives the client and the port. */
async function forwarder(
  lab: ClientLab,
  client: string,
  flag: Flag,
  to: number,
  server = lab.sshd.port,
): Promise<{ readonly child: Child; readonly port: number }> {
  const port = await freePort(host);
  const spec = `${host}:${port}:${host}:${to}`;
  const known = ["-o", `UserKnownHostsFile=${lab.sshd.knownHosts}`, "-o", "BatchMode=yes", "-o", cipher];
  // The key is known by the port of the server itself.
  const alias = ["-o", `HostKeyAlias=[${lab.sshd.host}]:${lab.sshd.port}`, "-o", `Port=${server}`];
  const destination = lab.destination.replace(/:\d+$/, "");
  const child = client.startsWith("postern")
    ? lab.postern(["forward", ...lab.options, "-q", "-o", cipher, ...alias, flag, spec, destination])
    : new Child(stranger("ssh"), [
        ..."-F none -N -i".split(" "),
        lab.key.path,
        ...known,
        ...alias,
        flag,
        spec,
        destination,
      ]);
  await until(`${client} to listen`, () => listening(port));
  return { child, port };
}

/** `up`: whoever connects to the forwarded port sends; `down`: the other end does. */
type Way = "up" | "down";

async function bulk(stage: Stage, client: string, flag: Flag, way: Way, bytes: number): Promise<Sample> {
  const copy = await compiledCopy();
  await using lab = await startClientLab({ nodeFlags: stage.nodeFlags });
  const target = await freePort(host);
  await using far = new Child(
    copy,
    way === "up" ? ["sink", String(target)] : ["give", String(target), String(bytes)],
  );
  await far.waitForStdout(/ready/);
  const { child, port } = await forwarder(lab, client, flag, target);
  await using _child = child;
  const sample = await costOf(child, bytes, async () => {
    await using near = new Child(
      copy,
      way === "up" ? ["generate", String(port), String(bytes)] : ["fetch", String(port)],
    );
    const { code, stderr } = await near.outcome(patienceMs);
    if (code !== 0) throw new Error(stderr);
    await far.outcome(patienceMs);
  });
  await ended(child);
  return sample;
}

/** In order, so that a profile is written. */
async function ended(child: Child): Promise<void> {
  child.kill("SIGINT");
  await child.outcome();
}

/** What a client's process spends while so many bytes pass through it. */
async function costOf(child: Child, bytes: number, pass: () => Promise<void>): Promise<Sample> {
  const before = await treeCpuSeconds(child.pid);
  const began = performance.now();
  await pass();
  const seconds = (performance.now() - began) / 1000;
  const cpu = (await treeCpuSeconds(child.pid)) - before;
  return { proxyCpuSecondsPerGb: (cpu * 1e9) / bytes, megabytesPerSecond: bytes / 1e6 / seconds };
}

/** The same on so many connections at once, with ends in this process, which swallow and send. */
async function crowd(
  stage: Stage,
  client: string,
  flag: Flag,
  connections: number,
  bytes: number,
): Promise<Sample> {
  await using lab = await startClientLab({ nodeFlags: stage.nodeFlags });
  const share = Math.ceil(bytes / connections);
  let due = connections;
  const arrived = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on("error", arrived.reject).resume();
    socket.once("end", () => {
      due -= 1;
      if (due === 0) arrived.resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { child, port } = await forwarder(lab, client, flag, (server.address() as AddressInfo).port);
  await using _child = child;
  const piece = Buffer.alloc(64 * 1024);
  const one = async (): Promise<void> => {
    const socket = connect({ port, host });
    socket.resume();
    for (let left = share; left > 0; left -= piece.length)
      if (!socket.write(left < piece.length ? piece.subarray(0, left) : piece)) await once(socket, "drain");
    socket.end();
  };
  const sample = await costOf(child, share * connections, async () => {
    await Promise.all([arrived.promise, ...Array.from({ length: connections }, one)]);
  });
  await ended(child);
  server.close();
  return sample;
}

/** Milliseconds that each direction of the way to a server far away takes. */
const farMs = 20;

/** A server at the other end of the country: every chunk arrives later by `farMs`. */
async function farAway(port: number): Promise<Server> {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host, noDelay: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("data", (chunk) => setTimeout(() => to.write(chunk), farMs));
      from.once("end", () => setTimeout(() => to.end(), farMs));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return server;
}

async function far(stage: Stage, client: string, way: Way, bytes: number): Promise<Sample> {
  const copy = await compiledCopy();
  await using lab = await startClientLab({ nodeFlags: stage.nodeFlags });
  const between = await farAway(lab.sshd.port);
  const target = await freePort(host);
  await using there = new Child(
    copy,
    way === "up" ? ["sink", String(target)] : ["give", String(target), String(bytes)],
  );
  await there.waitForStdout(/ready/);
  const { port: server } = between.address() as AddressInfo;
  const { child, port } = await forwarder(lab, client, "-L", target, server);
  await using _child = child;
  const sample = await costOf(child, bytes, async () => {
    await using here = new Child(
      copy,
      way === "up" ? ["generate", String(port), String(bytes)] : ["fetch", String(port)],
    );
    await here.outcome(patienceMs);
    await there.outcome(patienceMs);
  });
  await ended(child);
  between.close();
  return sample;
}

/** Round trips of 64 bytes through the tunnel, alone, or on each of 100 connections at once. */
async function echo(stage: Stage, client: string, connections: number, trips: number): Promise<Sample> {
  await using lab = await startClientLab({ nodeFlags: stage.nodeFlags });
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
    await ended(child);
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

const directions: readonly { readonly flag: Flag; readonly way: Way; readonly what: string }[] = [
  { flag: "-L", way: "up", what: "from whoever connects here to the target there" },
  { flag: "-L", way: "down", what: "from the target there to whoever connects here" },
  { flag: "-R", way: "up", what: "from whoever connects there to the target here" },
  { flag: "-R", way: "down", what: "from the target here to whoever connects there" },
];

const [, profiled] = clients;
const common = { subjects: clients, onlyTold: true, ...(profiled === undefined ? {} : { profiled }) };
const ofFlag = (flag: Flag): string => (flag === "-L" ? "local" : "remote");

export const forwardCases: readonly BenchCase[] = [
  ...directions.map(
    ({ flag, way, what }): BenchCase => ({
      ...common,
      name: `forward-${ofFlag(flag)}-${way}`,
      summary: `bulk through ${flag}, ${what}: the client's CPU`,
      measure: (stage, subject, size) => bulk(stage, subject, flag, way, size.bulkBytes),
    }),
  ),
  ...(["-L", "-R"] as const).map(
    (flag): BenchCase => ({
      ...common,
      name: `forward-100-${ofFlag(flag)}`,
      summary: `bulk up through ${flag} on 100 connections at once`,
      measure: (stage, subject, size) => crowd(stage, subject, flag, 100, size.bulkBytes),
    }),
  ),
  ...(["up", "down"] as const).map(
    (way): BenchCase => ({
      ...common,
      name: `forward-far-${way}`,
      summary: `bulk through -L to a server that is ${farMs} ms away: the windows of a channel decide`,
      measure: (stage, subject, size) => far(stage, subject, way, size.bulkBytes / 4),
    }),
  ),
  {
    ...common,
    name: "forward-echo",
    summary: "round trips of 64 bytes through -L, one after the other",
    measure: (stage, subject, size: Size) => echo(stage, subject, 1, size.echoTrips),
  },
  {
    ...common,
    name: "forward-echo-100",
    summary: "the same on 100 connections at once",
    measure: (stage, subject, size: Size) => echo(stage, subject, 100, size.echoTrips),
  },
];
