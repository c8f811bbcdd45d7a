/**
 * Ends that saturate whatever stands between them: bulk data of our own engine, in processes of their own. Real ends are slower than
 * a gateway, which then waits, wakes up and reads little each time; this shows what a gateway costs that is never out of work.
 *
 * node bench/flow.ts server                             prints its port and host key; gives or takes what an exec request asks for
 * node bench/flow.ts client PORT USER KEYFILE CIPHER give|take BYTES [CONNECTIONS]
 *     waits for a line, moves so many bytes on each of the connections (default: one), prints "done"
 */
import { readFile } from "node:fs/promises";
import { once } from "node:events";
import type { Link } from "#link";
import { parsePrivateKey, formatPublicKey } from "#ssh/keys";
import {
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelRequest,
  decodeExecRequest,
  decodeWindowAdjust,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelRequest,
  encodeExecRequest,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import { type PacketConn, type PacketHandler, type PacketView, payloadOf } from "#ssh/transport";
import { answerGlobal, logIn, startEngineServer } from "./ends.ts";

const dataBytes = 32 * 1024;
/** So large that only the sockets hold the sender back. */
const windowBytes = 2 ** 30;
/** Gathered before it is written. */
const burst = 16;
/** As often as OpenSSH's ends do, roughly. */
const adjustBytes = 1024 * 1024;

/** One channel, either end of it. */
class Flow implements PacketHandler {
  readonly #conn: PacketConn;
  readonly #data = new Uint8Array(9 + dataBytes);
  #window = 0;
  #toSend = 0;
  #toTake = 0;
  #unadjusted = 0;
  #whole: () => void = () => {};

  constructor(conn: PacketConn) {
    this.#conn = conn;
    this.#data[0] = MSG.CHANNEL_DATA;
    // Recipient 0 on both sides, which the first channel has everywhere.
    new DataView(this.#data.buffer).setUint32(5, dataBytes);
  }

  /** The client's side: opens the channel, asks for the transfer and waits for its end. */
  async run(what: string, bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whole = resolve;
    const open = { type: "session", channel: 0, window: windowBytes, maxPacket: dataBytes };
    this.#conn.send(encodeChannelOpen({ ...open, data: new Uint8Array(0) }));
    const command = encodeExecRequest(`${what} ${bytes}`);
    this.#conn.send(encodeChannelRequest({ recipient: 0, type: "exec", wantReply: false, data: command }));
    if (what === "give") this.#toTake = bytes;
    else this.#toSend = bytes;
    await promise;
  }

  packet(packet: PacketView): void {
    switch (packet.bytes[packet.start]) {
      case MSG.CHANNEL_DATA:
        this.#take(packet.end - packet.start - 9);
        return;
      case MSG.CHANNEL_WINDOW_ADJUST:
        this.#window += decodeWindowAdjust(payloadOf(packet)).bytes;
        this.#send();
        return;
      case MSG.CHANNEL_OPEN:
        this.#opened(decodeChannelOpen(payloadOf(packet)).window);
        return;
      case MSG.CHANNEL_OPEN_CONFIRMATION:
        this.#window = decodeChannelOpenConfirmation(payloadOf(packet)).window;
        this.#send();
        return;
      case MSG.CHANNEL_REQUEST:
        this.#start(Buffer.from(decodeExecRequest(decodeChannelRequest(payloadOf(packet)).data)).toString());
        return;
      case MSG.CHANNEL_CLOSE:
        this.#whole();
        return;
      default:
        answerGlobal(this.#conn, packet);
    }
  }

  drain(): void {
    this.#send();
  }

  closed(): void {
    this.#toSend = 0;
  }

  #opened(window: number): void {
    this.#window = window;
    const own = { channel: 0, window: windowBytes, maxPacket: dataBytes };
    this.#conn.send(encodeChannelOpenConfirmation({ recipient: 0, ...own, data: new Uint8Array(0) }));
  }

  #start(command: string): void {
    const [what, bytes] = command.split(" ");
    if (what === "give") this.#toSend = Number(bytes);
    else this.#toTake = Number(bytes);
    this.#send();
  }

  #send(): void {
    while (this.#toSend > 0 && this.#conn.writable) {
      for (let n = 0; n < burst && this.#toSend > 0; n++) {
        if (this.#window < dataBytes) {
          this.#conn.flush();
          return;
        }
        this.#conn.send(this.#data);
        this.#window -= dataBytes;
        this.#toSend -= dataBytes;
      }
      this.#conn.flush();
    }
  }

  #take(bytes: number): void {
    this.#toTake -= bytes;
    this.#unadjusted += bytes;
    if (this.#toTake <= 0) {
      this.#conn.send(Uint8Array.of(MSG.CHANNEL_CLOSE, 0, 0, 0, 0));
      this.#whole();
    } else if (this.#unadjusted >= adjustBytes) {
      this.#conn.send(encodeWindowAdjust({ recipient: 0, bytes: this.#unadjusted }));
      this.#unadjusted = 0;
    }
  }
}

async function client(words: readonly string[]): Promise<void> {
  const [port, user = "", keyFile = "", cipher = "", what = "", bytes, connections = "1"] = words;
  const key = await parsePrivateKey(await readFile(keyFile));
  const links: Link[] = [];
  for (let n = 0; n < Number(connections); n++)
    links.push(await logIn({ host: "127.0.0.1", port: Number(port) }, user, key, [cipher]));
  const flows = links.map((link) => {
    const flow = new Flow(link);
    link.attach(flow);
    return flow;
  });
  console.log("ready");
  await once(process.stdin, "data");
  await Promise.all(flows.map((flow) => flow.run(what, Number(bytes))));
  console.log("done");
  await once(process.stdin, "end");
  for (const link of links) link.destroy();
}

if (import.meta.main) {
  const [role, ...words] = process.argv.slice(2);
  if (role === "client") await client(words);
  else {
    const { port, hostKey } = await startEngineServer((link) => link.attach(new Flow(link)));
    console.log(`${port} ${formatPublicKey(hostKey.blob)}`);
  }
}
