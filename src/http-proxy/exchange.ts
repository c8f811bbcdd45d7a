import { type ClientRequest, type IncomingMessage, request as sendRequest } from "node:http";
import { type Duplex, pipeline, type Writable } from "node:stream";
import { type Clock, PosternError, type Timer } from "#base";
import type { Device, PeerAddress, Tunnels } from "#contract";
import type { Asked, Reply } from "./asked.ts";
import { webErrors } from "./errors.ts";
import { answerFields, type Fields, fieldsOf, requestFields, valuesOf } from "./fields.ts";
import { siteOf } from "./host.ts";
import { answerAt, isPlace, placeAt } from "./prefix.ts";
import type { WebConfig } from "./schema.ts";
import { cookieName } from "./ticket.ts";
import { encrypted } from "./tls.ts";
import { announcesTrailers, passTrailers, passTrailersBack } from "./trailers.ts";

/** Status line and fields of a device's answer together. */
export const maxAnswerHeadBytes: number = 64 * 1024;

export interface ExchangePorts {
  readonly clock: Clock;
  readonly tunnels: Pick<Tunnels, "open">;
}

/** A request that may go to a device. */
export interface Passed {
  readonly asked: Asked;
  readonly fields: Fields;
  readonly device: Device;
  readonly from: PeerAddress;
  readonly secure: boolean;
  readonly user?: string | undefined;
  /** Of its path, where devices have no hosts of their own. */
  readonly prefix?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Requests to devices. Each is read whole by Node's parser and written anew on a stream of its own: there is none that two clients, two
 * hosts or two requests could share, so nothing that one side takes for the end of a request can be another's beginning.
 */
export class Exchanges {
  readonly #config: WebConfig;
  readonly #ports: ExchangePorts;
  readonly #busy = new Map<string, number>();

  constructor(config: WebConfig, ports: ExchangePorts) {
    this.#config = config;
    this.#ports = ports;
  }

  /** Answers out of the device. Throws UPSTREAM_ errors as long as nothing has been answered. */
  async serve(passed: Passed, reply: Reply): Promise<void> {
    using _place = this.#place(passed.device);
    const { asked } = passed;
    const { answerSeconds, idleSeconds } = this.#config;
    using watch = new Watch(this.#ports.clock, answerSeconds * 1000);
    const sending = await this.#send(untilClosed(passed, reply.sink), {}, watch);
    const gone = (): void => void sending.destroy();
    reply.sink.once("close", gone);
    asked.body.on("data", watch.seen);
    asked.body.once("close", () => {
      // What is cut off must not look whole.
      if (!asked.body.readableEnded && !reply.begun) gone();
    });
    passTrailers(asked, sending);
    asked.body.pipe(sending);
    try {
      const said = await answerTo(sending, watch);
      watch.limit(idleSeconds * 1000, () => sending.destroy());
      begin(reply, said, this.#answer(said, passed));
      passTrailersBack(said, reply);
      said.on("data", watch.seen);
      // Answers without a body are whole with their head.
      if (reply.sink.writableEnded) said.resume();
      else
        pipeline(said, reply.sink, (error) => {
          if (error) reply.sink.destroy();
        });
      await reply.over();
    } finally {
      asked.body.off("data", watch.seen);
      asked.body.unpipe(sending);
      sending.destroy();
      // What a client still sends after its answer is thrown away, for as long as a connection may be without requests.
      asked.body.resume();
    }
  }

  /** The same for a WebSocket: if the device agrees, its bytes are the client's from then on. Resolves when it has ended. */
  async upgrade(passed: Passed, reply: Reply, client: Duplex, head: Buffer): Promise<void> {
    using _place = this.#place(passed.device);
    const { answerSeconds, idleSeconds } = this.#config;
    using watch = new Watch(this.#ports.clock, answerSeconds * 1000);
    const more = { Connection: "Upgrade", Upgrade: "websocket" };
    const sending = await this.#send(untilClosed(passed, client), more, watch);
    const gone = (): void => void sending.destroy();
    client.once("close", gone);
    const agreed = Promise.withResolvers<{ said: IncomingMessage; upstream: Duplex; first: Buffer }>();
    agreed.promise.catch(() => {});
    sending.once("upgrade", (said, upstream: Duplex, first: Buffer) =>
      agreed.resolve({ said, upstream, first }),
    );
    sending.end();
    const refused = answerTo(sending, watch);
    refused.catch((error: unknown) => agreed.reject(error as Error));
    const answer = await Promise.race([agreed.promise, refused]);
    if (!("upstream" in answer)) {
      // No, in its own words, and the last.
      const fields = this.#answer(answer, passed);
      begin(reply, answer, [...fields, ["Connection", "close"]]);
      pipeline(answer, reply.sink, () => client.destroy());
      watch.limit(idleSeconds * 1000, () => client.destroy());
      await ended(client);
      sending.destroy();
      return;
    }
    const { said, upstream, first } = answer;
    using _stream = { [Symbol.dispose]: () => void upstream.destroy() };
    if (valuesOf(fieldsOf(said.rawHeaders), "upgrade").join().toLowerCase() !== "websocket")
      throw new webErrors.UPSTREAM_WEB_NONSENSE("it changes to another protocol");
    const fields = this.#answer(said, passed);
    client.write(headOf(said, [...fields, ["Connection", "Upgrade"], ["Upgrade", "websocket"]]));
    client.write(first);
    upstream.write(head);
    watch.limit(idleSeconds * 1000, () => client.destroy());
    for (const side of [client, upstream]) side.on("data", watch.seen);
    pipeline(upstream, client, () => upstream.destroy());
    pipeline(client, upstream, () => client.destroy());
    await ended(client);
  }

  #answer({ rawHeaders }: IncomingMessage, { asked, device, prefix }: Passed): Fields {
    const fields = answerFields(fieldsOf(rawHeaders), cookieName);
    const known = siteOf(this.#config, device).host.toLowerCase();
    if (prefix !== undefined) return answerAt(prefix, fields, [asked.authority, known]);
    if (known === "keep") return fields;
    // It leads to itself by a name that only it and the gateway know.
    return fields.map(
      ([name, value]) => [name, isPlace(name) ? placeAt("", value, [known]) : value] as const,
    );
  }

  #place({ id, name }: Device): Disposable {
    const busy = this.#busy.get(id) ?? 0;
    if (busy >= this.#config.maxRequestsPerDevice) throw new webErrors.UPSTREAM_WEB_BUSY(name);
    this.#busy.set(id, busy + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#busy.get(id) ?? 1) - 1;
        if (left > 0) this.#busy.set(id, left);
        else this.#busy.delete(id);
      },
    };
  }

  async #send(passed: Passed, more: Readonly<Record<string, string>>, watch: Watch): Promise<ClientRequest> {
    const { asked, device, from, secure, user, prefix } = passed;
    const site = siteOf(this.#config, device);
    const opened = await this.#open(passed, site.port, watch);
    opened.on("error", () => {});
    const hostForDevice = site.host === "keep" ? asked.authority : site.host;
    const stream = site.tls ? encrypted(opened, hostForDevice) : opened;
    const told = {
      from,
      host: asked.authority,
      hostForDevice,
      secure,
      ...(user === undefined ? {} : { user }),
      ...(prefix === undefined ? {} : { prefix }),
    };
    const own: Fields = [
      ...(asked.length === "chunked" ? ([["Transfer-Encoding", "chunked"]] as const) : []),
      ...(more["Connection"] === undefined ? ([["Connection", "close"]] as const) : []),
      ...Object.entries(more),
    ];
    let sending: ClientRequest;
    try {
      sending = sendRequest({
        method: asked.method,
        path: asked.path,
        headers: [...requestFields(passed.fields, told), ...own].flat(),
        setHost: false,
        maxHeaderSize: maxAnswerHeadBytes,
        // Without an agent: that would connect by itself.
        createConnection: () => stream,
      });
    } catch (error) {
      stream.destroy();
      throw error;
    }
    let upgraded = false;
    sending.once("upgrade", () => (upgraded = true));
    sending.once("close", () => {
      if (!upgraded) stream.destroy();
    });
    return sending;
  }

  /** A device that never answers keeps nobody waiting; what it opens after all, it closes itself. */
  async #open({ device, from, signal }: Passed, port: number, watch: Watch): Promise<Duplex> {
    const given = new AbortController();
    const origin = { host: from.ip ?? "127.0.0.1", port: from.port ?? 0 };
    const late = Promise.withResolvers<never>();
    const giveUp = (error: Error) => (): void => {
      given.abort();
      late.reject(error);
    };
    const left = giveUp(new webErrors.UPSTREAM_WEB_SILENT(`${device.name}: the client left`));
    watch.onLate(giveUp(new webErrors.UPSTREAM_WEB_SILENT(`${device.name}: its tunnel opens no stream`)));
    signal.addEventListener("abort", left, { once: true });
    if (signal.aborted) left();
    const opening = this.#ports.tunnels.open(device.name, port, origin, given.signal);
    opening.catch(() => {});
    try {
      return await Promise.race([opening, late.promise]);
    } finally {
      signal.removeEventListener("abort", left);
    }
  }
}

/** Given up when the client leaves: else who resets its requests could fill a device's places with nobody. */
function untilClosed(passed: Passed, stream: Writable): Passed {
  const left = new AbortController();
  if (stream.destroyed) left.abort();
  else stream.once("close", () => left.abort());
  return { ...passed, signal: AbortSignal.any([passed.signal, left.signal]) };
}

/** A time that begins anew whenever something is seen. */
class Watch implements Disposable {
  readonly #clock: Clock;
  #late: () => void = () => {};
  #timer: Timer;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#timer = clock.after(ms, () => this.#late());
  }

  readonly seen = (): void => this.#timer.refresh();

  onLate(late: () => void): void {
    this.#late = late;
  }

  /** From now on: another time, and another end. */
  limit(ms: number, late: () => void): void {
    this.#timer[Symbol.dispose]();
    this.#late = late;
    this.#timer = this.#clock.after(ms, () => this.#late());
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#late = () => {};
  }
}

/** The head of a device's answer. Throws UPSTREAM_WEB_SILENT and UPSTREAM_WEB_NONSENSE. */
async function answerTo(sending: ClientRequest, watch: Watch): Promise<IncomingMessage> {
  const answer = Promise.withResolvers<IncomingMessage>();
  sending.once("response", answer.resolve);
  sending.on("error", (cause) =>
    answer.reject(
      cause instanceof PosternError
        ? cause
        : new webErrors.UPSTREAM_WEB_NONSENSE((cause as NodeJS.ErrnoException).code ?? cause.message, {
            cause,
          }),
    ),
  );
  sending.once("close", () => answer.reject(new webErrors.UPSTREAM_WEB_NONSENSE("it ended the connection")));
  watch.onLate(() => {
    answer.reject(new webErrors.UPSTREAM_WEB_SILENT());
    sending.destroy();
  });
  return await answer.promise;
}

/** Throws UPSTREAM_WEB_NONSENSE for what cannot be passed on. */
function begin(reply: Reply, said: IncomingMessage, fields: Fields): void {
  const { statusCode = 0, statusMessage = "" } = said;
  if (statusCode < 200 || statusCode > 599)
    throw new webErrors.UPSTREAM_WEB_NONSENSE(`its status is ${statusCode}`);
  try {
    reply.begin(statusCode, statusMessage, fields, announcesTrailers(said));
  } catch (cause) {
    throw new webErrors.UPSTREAM_WEB_NONSENSE((cause as Error).message, { cause });
  }
}

/** The head of an answer that changes the protocol: Node's server has none for that. All in it came out of Node's parser. */
function headOf({ statusMessage = "" }: IncomingMessage, fields: Fields): Buffer {
  const lines = [`HTTP/1.1 101 ${statusMessage}`, ...fields.map(([name, value]) => `${name}: ${value}`)];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

async function ended(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", () => resolve()));
}
