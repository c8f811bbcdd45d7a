/**
 * The engine alone, without a socket: what sealing, opening and passing on cost by packet. Two measures of the byte path that
 * need no other process: `engine` (one client and one server) and `relay` (the gateway's own half: opened from one transport,
 * sealed by another).
 */
import { type PacketView, releaseOutput, type Transport } from "#ssh/transport";
import { enginePair } from "./engine-pair.ts";
import { median } from "./statistics.ts";

const channelDataNumber = 94;

/** CPU microseconds of this process, all threads. */
function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What one round cost, in CPU microseconds by packet. */
export interface LaneRound {
  readonly seal: number;
  readonly open: number;
  readonly relay: number;
}

/** A lane of one cipher and one packet size, ready to be measured round by round. */
export class LaneBench {
  readonly cipher: string;
  readonly #payload: Uint8Array;
  readonly #batch: number;
  #near: { client: Transport; server: Transport } | undefined;
  #far: { client: Transport; server: Transport } | undefined;
  #buffer: Uint8Array = new Uint8Array(0);

  /** `batch` packets are sealed, then opened, at once: as many as a large read brings. */
  constructor(cipher: string, payloadBytes: number, batch: number) {
    this.cipher = cipher;
    this.#payload = new Uint8Array(payloadBytes).fill(0x5a);
    this.#payload[0] = channelDataNumber;
    this.#batch = batch;
  }

  async prepare(): Promise<void> {
    this.#near = await enginePair(this.cipher);
    this.#far = await enginePair(this.cipher);
  }

  /** Seals, passes on and opens `batches` times `batch` packets. */
  round(batches: number): LaneRound {
    const near = this.#near;
    const far = this.#far;
    if (near === undefined || far === undefined) throw new Error("not prepared");
    let seal = 0;
    let relay = 0;
    let open = 0;
    for (let n = 0; n < batches; n++) {
      const start = cpuMicros();
      for (let packet = 0; packet < this.#batch; packet++) near.client.send(this.#payload);
      const sealed = near.client.output();
      const afterSeal = cpuMicros();
      const chunk = this.#gather(sealed);
      const beforeRelay = cpuMicros();
      const passed = pass(near.server, far.client, chunk);
      const afterRelay = cpuMicros();
      const arrived = this.#gather(passed);
      const beforeOpen = cpuMicros();
      const count = read(far.server, arrived);
      const end = cpuMicros();
      if (count !== this.#batch) throw new Error(`${count} packets of ${this.#batch} arrived`);
      seal += afterSeal - start;
      relay += afterRelay - beforeRelay;
      open += end - beforeOpen;
    }
    const packets = batches * this.#batch;
    return { seal: seal / packets, relay: relay / packets, open: open / packets };
  }

  /** What the kernel does between two processes; not counted. */
  #gather(pieces: readonly Uint8Array[]): Uint8Array {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    for (const piece of pieces) {
      this.#buffer.set(piece, at);
      at += piece.length;
      releaseOutput(piece);
    }
    return this.#buffer.subarray(0, at);
  }
}

/** The gateway's half: what a link and a lane do between a read and a write. */
function pass(near: Transport, far: Transport, chunk: Uint8Array): Uint8Array[] {
  near.receive(chunk);
  for (let event = near.next(true); event !== undefined; event = near.next(true)) {
    if (event.kind === "packet") far.forward(event.packet);
  }
  near.hold();
  return far.output();
}

function read(engine: Transport, chunk: Uint8Array): number {
  let count = 0;
  let last: PacketView | undefined;
  engine.receive(chunk);
  for (let event = engine.next(true); event !== undefined; event = engine.next(true)) {
    if (event.kind !== "packet") continue;
    last = event.packet;
    count++;
  }
  engine.hold();
  if (last?.bytes[last.start] !== channelDataNumber) throw new Error("another packet arrived");
  return count;
}

if (import.meta.main) {
  const ciphers = process.argv.slice(2);
  if (ciphers.length === 0)
    ciphers.push("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr");
  for (const [bytes, batch, batches] of [
    [32_768 + 9, 31, 60],
    [64, 512, 30],
  ] as const) {
    const lanes = ciphers.map((cipher) => new LaneBench(cipher, bytes, batch));
    const rounds: LaneRound[][] = lanes.map(() => []);
    for (const lane of lanes) await lane.prepare();
    for (let n = 0; n < 8; n++) {
      for (const [at, lane] of lanes.entries()) {
        const measured = lane.round(batches);
        if (n > 0) rounds[at]?.push(measured);
      }
    }
    for (const [at, lane] of lanes.entries()) {
      const of = (name: keyof LaneRound): string =>
        median((rounds[at] ?? []).map((each) => each[name])).toFixed(2);
      console.log(
        `${lane.cipher} ${bytes} B: seal ${of("seal")}, open ${of("open")}, relay ${of("relay")} µs`,
      );
    }
  }
}
