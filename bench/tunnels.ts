import { systemClock } from "#base";
import type { Device } from "#contract";
import type { Link } from "#link";
import { formatPublicKey, fingerprint, generatePrivateKey, type PrivateKey } from "#ssh/keys";
import {
  decodeChannelOpen,
  encodeAddressAndPort,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeGlobalRequest,
  encodeTcpipChannel,
  MSG,
} from "#ssh/messages";
import { payloadOf } from "#ssh/transport";
import { openSqliteStore } from "#store";
import { type Gateway, type Pieces, startGateway } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import type { BenchCase } from "./case.ts";
import { treeCpuSeconds, treeResidentBytes } from "./cpu.ts";
import { answerGlobal, logIn } from "./ends.ts";
import type { Sample, Size } from "./schema.ts";
import { gatewayConfig } from "./stage.ts";
import { median, quantile } from "./statistics.ts";

/** Tunnels before those that are counted: with them heap and code grow to what they need. */
const firstTunnels = 200;

/** Logins under way at once while the fleet comes for the first time. */
const lanes = 8;

/** Silence before idle tunnels are watched: nobody is asked in the first minute, and V8 goes over a heap that has grown twice in four. */
const silentMs = 240_000;

/** How long idle tunnels are watched for the CPU they cost: the questions are spread over it. */
const watchMs = 120_000;

/** How often somebody goes to a device while all are there. */
const visits = 40;

/** A device that was refused or cut off tries again after this. */
const retryMs = 500;

/** Devices that stay away until all others come back at once, and then come one after the other. */
const loners = 200;

/** What a herd had to wait, milliseconds of each: from when there was a gateway again, or from when a device came that came alone. */
export interface Returned {
  readonly seconds: number;
  readonly waits: readonly number[];
  readonly alone: readonly number[];
}

interface Machine {
  readonly name: string;
  readonly key: PrivateKey;
}

/** Devices of our own engine, in this process; the gateway is one of its own. */
export class Fleet implements AsyncDisposable {
  readonly #folder: TempDir;
  readonly #port: number;
  readonly #machines: readonly Machine[];
  readonly #loners: readonly Machine[];
  readonly #limits: Pieces;
  readonly #person: PrivateKey = generatePrivateKey("ssh-ed25519");
  #gateway: Gateway | undefined;
  #links: Link[] = [];

  private constructor(folder: TempDir, port: number, machines: readonly Machine[], limits: Pieces) {
    this.#folder = folder;
    this.#port = port;
    this.#machines = machines.slice(loners);
    this.#loners = machines.slice(0, loners);
    this.#limits = limits;
  }

  /** All are approved beforehand; nobody is there yet. */
  static async make(count: number, limits: Pieces = gatewayConfig): Promise<Fleet> {
    const folder = await tempDir();
    const machines = Array.from({ length: loners + count }, (_, n) => ({
      name: n < loners ? `loner${n}` : `kiosk${n - loners}`,
      key: generatePrivateKey("ssh-ed25519"),
    }));
    await using store = openSqliteStore({ path: folder.at("devices.sqlite"), clock: systemClock });
    for (const { name, key } of machines) await store.insert(deviceOf(name, key), 0);
    return new Fleet(folder, await freePort(), machines, limits);
  }

  async startGateway(): Promise<void> {
    this.#gateway = await startGateway({
      config: {
        ...this.#limits,
        log: { level: "info", format: "json" },
        listen: [`127.0.0.1:${this.#port}`],
        devices: { database: this.#folder.at("devices.sqlite") },
        targets: [{ name: "fleet", devices: true }],
      },
      rules: [
        { name: "devices", match: { user: "device" }, login: [{ kind: "device" }], serve: "devices" },
        {
          name: "people",
          match: { user: "ada" },
          login: [{ kind: "publickey", keys: [formatPublicKey(this.#person.blob)] }],
          serve: "jump",
          targets: ["fleet"],
        },
      ],
    });
  }

  get pid(): number {
    return this.#gateway?.child.pid ?? 0;
  }

  /** Those from here to there come, so many at once. */
  async come(from: number, to: number, atOnce: number, came: () => void = () => {}): Promise<void> {
    const due = this.#machines.slice(from, to);
    const row = async (): Promise<void> => {
      for (let machine = due.pop(); machine !== undefined; machine = due.pop()) {
        await this.#hold(machine);
        came();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, row));
  }

  /** As `ssh -J` goes there: milliseconds from the connection to the gateway to the device's first byte. */
  async visit(name: string): Promise<number> {
    const start = performance.now();
    const link = await logIn({ host: "127.0.0.1", port: this.#port }, "ada", this.#person);
    const heard = Promise.withResolvers<void>();
    link.attach({
      packet: ({ bytes, start: at }) => {
        if (bytes[at] === MSG.CHANNEL_DATA) heard.resolve();
        else if (bytes[at] === MSG.CHANNEL_OPEN_FAILURE) heard.reject(new Error(`${name} was not reached`));
      },
      closed: () => heard.reject(new Error("cut off")),
    });
    const data = encodeTcpipChannel({ host: name, port: 22, originAddress: "127.0.0.1", originPort: 1 });
    link.send(
      encodeChannelOpen({ type: "direct-tcpip", channel: 0, window: 65_536, maxPacket: 32_768, data }),
    );
    await heard.promise;
    const tookMs = performance.now() - start;
    link.destroy();
    return tookMs;
  }

  /** The gateway dies and is started again; all come back at the same moment, as often as it takes. */
  async returnAll(): Promise<Returned> {
    this.#gateway?.signal("SIGKILL");
    await this.#gateway?.child.outcome();
    for (const link of this.#links) link.destroy();
    this.#links = [];
    const start = performance.now();
    const started = this.startGateway().then(() => performance.now());
    const times: number[] = [];
    const count = this.#machines.length;
    const herd = this.come(0, count, count, () => times.push(performance.now()));
    const listening = await started;
    const alone: number[] = [];
    for (const machine of this.#loners) {
      if (times.length >= count) break;
      const cameAt = performance.now();
      await this.#hold(machine);
      alone.push(performance.now() - cameAt);
    }
    await herd;
    const waits = times.map((time) => Math.max(0, time - listening));
    return { seconds: (Math.max(...times) - start) / 1000, waits, alone };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.destroy();
    await this.#gateway?.[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  async #hold({ name, key }: Machine): Promise<void> {
    for (;;) {
      try {
        const link = await logIn({ host: "127.0.0.1", port: this.#port }, "device", key);
        await forwarded(link, name);
        this.#links.push(link);
        return;
      } catch {
        await new Promise<void>((resolve) => setTimeout(resolve, retryMs * (0.5 + Math.random())));
      }
    }
  }
}

/** Asks for the tunnel, and waits for the answer. */
async function forwarded(link: Link, name: string): Promise<void> {
  const answered = Promise.withResolvers<void>();
  link.attach({
    packet: (packet) => {
      const number = packet.bytes[packet.start];
      if (number === MSG.REQUEST_SUCCESS) answered.resolve();
      else if (number === MSG.REQUEST_FAILURE) answered.reject(new Error("refused"));
      else if (number === MSG.CHANNEL_OPEN) greet(link, decodeChannelOpen(payloadOf(packet)));
      else answerGlobal(link, packet);
    },
    closed: () => answered.reject(new Error("cut off")),
  });
  link.send(
    encodeGlobalRequest({
      type: "tcpip-forward",
      wantReply: true,
      data: encodeAddressAndPort({ address: name, port: 22 }),
    }),
  );
  await answered.promise;
}

/** What a device's sshd says first. */
function greet(link: Link, { channel }: { readonly channel: number }): void {
  const none = new Uint8Array(0);
  link.send(
    encodeChannelOpenConfirmation({
      recipient: channel,
      channel: 0,
      window: 65_536,
      maxPacket: 32_768,
      data: none,
    }),
  );
  link.send(encodeChannelData({ recipient: channel, data: Buffer.from("SSH-2.0-Device\r\n") }));
}

function deviceOf(name: string, { blob }: PrivateKey): Device {
  return {
    id: name,
    name,
    fingerprint: fingerprint(blob),
    key: formatPublicKey(blob),
    state: "approved",
    tags: [],
    ports: [22],
    web: "off",
    createdAtMs: 0,
    cameBy: "bench",
  };
}

async function tunnels(count: number): Promise<Sample> {
  await using fleet = await Fleet.make(firstTunnels + count);
  await fleet.startGateway();
  await fleet.come(0, firstTunnels, lanes);
  const before = await treeResidentBytes(fleet.pid);
  await fleet.come(firstTunnels, firstTunnels + count, lanes);
  await new Promise<void>((resolve) => setTimeout(resolve, silentMs));
  const cpuBefore = await treeCpuSeconds(fleet.pid);
  const start = performance.now();
  await new Promise<void>((resolve) => setTimeout(resolve, watchMs));
  const seconds = (performance.now() - start) / 1000;
  const cpuAfter = await treeCpuSeconds(fleet.pid);
  const after = await treeResidentBytes(fleet.pid);
  const waits: number[] = [];
  for (let n = 0; n < visits; n++)
    waits.push(1000 * (await fleet.visit(`kiosk${Math.floor((n * (count + firstTunnels)) / visits)}`)));
  const { seconds: returnSeconds, waits: returns, alone } = await fleet.returnAll();
  return {
    kilobytesPerSession: (after - before) / 1000 / count,
    cpuMsPerSessionSecond: ((cpuAfter - cpuBefore) * 1000) / seconds / (count + firstTunnels),
    p50Micros: median(waits),
    p99Micros: quantile(waits, 0.99),
    returnSeconds,
    returnP50Seconds: median(returns) / 1000,
    returnP99Seconds: quantile(returns, 0.99) / 1000,
    worstToMeanWait: Math.max(...returns) / (returns.reduce((sum, wait) => sum + wait, 0) / returns.length),
    aloneP50Seconds: median(alone) / 1000,
    aloneWorstSeconds: Math.max(...alone) / 1000,
  };
}

export const tunnelCases: readonly BenchCase[] = [
  {
    name: "tunnels",
    summary:
      "idle tunnels of devices of our own engine: what each costs, and how soon all are back after kill -9",
    subjects: ["gateway"],
    maxRounds: 1,
    quick: [],
    measure: (_stage, _subject, { idleEngineSessions }: Size) => tunnels(idleEngineSessions),
  },
];
