import type { Duplex } from "node:stream";
import { formatHostPort, type Log, PosternError, retryDelayMs } from "#base";
import {
  clientErrors,
  type ClientConnection,
  connect,
  dialTcp,
  dialUnix,
  join,
  printable,
  type RemoteConnection,
  sentenceOf,
} from "#client";
import { CertificateKeeper } from "./certificate.ts";
import type { AgentConfig, ForwardPlace, GateConfig } from "./schema.ts";

/** How it stands with one gateway. */
export type GateState =
  | { readonly kind: "connecting" }
  /** An operator has to say yes. */
  | { readonly kind: "waiting"; readonly code: string | undefined }
  | { readonly kind: "up"; readonly sinceMs: number }
  | { readonly kind: "away"; readonly reason: string };

/** As `/status` tells it. */
export interface GateReport {
  readonly gate: string;
  readonly state: GateState["kind"];
  readonly since?: string;
  readonly code?: string | undefined;
  readonly reason?: string;
  readonly ports: readonly number[];
}

export interface GateLineParts {
  readonly log: Log;
  readonly keyFile: string;
  /** SHA256:… of that key. */
  readonly key: string;
  /** The service on board takes a connection. */
  readonly serve: (stream: Duplex) => void;
  readonly changed: () => void;
}

type Shared = Pick<AgentConfig, "name" | "forwards" | "service" | "retry" | "keepalive">;

interface Offer {
  readonly port: number;
  /** Undefined: the service on board. */
  readonly to: ForwardPlace | undefined;
}

/** A connection that held this long was a good one: the next wait begins small again. */
const steadyMs = 30_000;
/** Milliseconds to reach what a port leads to. */
const dialMs = 30_000;
/** Connections through one gateway at once. */
const maxConnections = 256;
/** Milliseconds and characters that a gateway has to answer who we are. */
const answerMs = 30_000;
const maxAnswerChars = 64 * 1024;
const maxReasonChars = 300;
/** Between questions for a port that was refused: an operator may yet approve it. */
const askAgain = { firstMs: 30_000, maxMs: 600_000 };

/** What came of a visit to the gateway. */
interface Visit {
  readonly state: GateState;
  /** It was up. */
  readonly held: boolean;
}

/** One gateway: comes back to it, for as long as it lives. */
export class GateLine implements AsyncDisposable {
  readonly name: string;
  readonly #gate: GateConfig;
  readonly #shared: Shared;
  readonly #parts: GateLineParts;
  readonly #offers: readonly Offer[];
  readonly #stop = new AbortController();
  readonly #held = new Set<number>();
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #over: Promise<void>;
  #state: GateState = { kind: "connecting" };
  /** The last line about being away: a night without a network is one line, not a thousand. */
  #told = "";
  #joined = false;
  #connections = 0;

  constructor(gate: GateConfig, shared: Shared, parts: GateLineParts) {
    this.#gate = gate;
    this.#shared = shared;
    this.name = gate.address.port === 22 ? gate.address.host : formatHostPort(gate.address);
    this.#parts = { ...parts, log: parts.log.child({ gate: this.name }) };
    const { service } = shared;
    this.#offers = [
      ...shared.forwards,
      ...(service === undefined ? [] : [{ port: service.port, to: undefined }]),
    ];
    this.#over = this.#run();
  }

  get report(): GateReport {
    const state = this.#state;
    return {
      gate: this.name,
      state: state.kind,
      ...(state.kind === "up" ? { since: new Date(state.sinceMs).toISOString() } : {}),
      ...(state.kind === "waiting" ? { code: state.code } : {}),
      ...(state.kind === "away" ? { reason: state.reason } : {}),
      ports: [...this.#held].sort((one, other) => one - other),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#over;
  }

  async #run(): Promise<void> {
    const { firstSeconds, maxSeconds } = this.#shared.retry;
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      const since = performance.now();
      const { state, held } = await this.#visit().catch((error: unknown) => this.#failed(error));
      for (const timer of this.#retries) clearTimeout(timer);
      this.#retries.clear();
      this.#held.clear();
      if (signal.aborted) return;
      failures = held && performance.now() - since > steadyMs ? 1 : failures + 1;
      const backoff = { firstMs: firstSeconds * 1000, maxMs: maxSeconds * 1000 };
      const waitMs = retryDelayMs(failures, backoff, Math.random());
      this.#leave(state, waitMs);
      await pause(waitMs, signal);
    }
  }

  #failed(error: unknown): Visit {
    if (!(error instanceof PosternError) || error.blame === "BUG")
      this.#parts.log.error("gate-failed", { error });
    const denied = error instanceof clientErrors.DENIED_CLIENT_LOGIN;
    // The client names the user whom it was refused as, and that one holds the token.
    const token = this.#gate.token?.text().trim() ?? "";
    const said = token === "" ? sentenceOf(error) : sentenceOf(error).replaceAll(token, "TOKEN");
    const reason = denied ? `${said} ${this.#whyDenied()}` : said;
    return { state: { kind: "away", reason }, held: this.#held.size > 0 };
  }

  /** What the gateway tells nobody before the login. */
  #whyDenied(): string {
    return this.#usesToken
      ? "The join token may be unknown, used up or expired, or this device was denied or revoked: ask the gateway's operator."
      : "This device may have been denied or revoked, or the gateway takes new devices only with a token: ask its operator.";
  }

  get #usesToken(): boolean {
    return this.#gate.token !== undefined && !this.#joined;
  }

  #become(state: GateState): void {
    this.#state = state;
    this.#parts.changed();
  }

  #leave(state: GateState, waitMs: number): void {
    this.#become(state);
    const { log } = this.#parts;
    const retrySeconds = Math.round(waitMs / 100) / 10;
    const news = state.kind === "waiting" ? (state.code ?? "") : state.kind === "away" ? state.reason : "";
    const again = this.#told === news;
    this.#told = news;
    if (state.kind === "waiting") {
      const fields = {
        code: state.code,
        hint: `postern device approve ${state.code ?? "CODE"}`,
        retrySeconds,
      };
      if (again) log.debug("device-still-waits", fields);
      else log.warn("device-waits-for-approval", fields);
    } else if (state.kind === "away") {
      const fields = { reason: state.reason, retrySeconds };
      if (again) log.debug("gate-still-away", fields);
      else log.warn("gate-away", fields);
    }
  }

  async #visit(): Promise<Visit> {
    const { address, user, token, knownHosts, fingerprints } = this.#gate;
    const { keepalive, name } = this.#shared;
    const { log, keyFile } = this.#parts;
    this.#become({ kind: "connecting" });
    log.debug("gate-connecting");
    let banner = "";
    await using connection = await connect({
      ...address,
      user: this.#usesToken && token !== undefined ? `join+${token.text().trim()}` : user,
      hostKey: { knownHosts: knownHosts === undefined ? [] : [knownHosts], fingerprints },
      login: {
        methods: ["publickey"],
        keyFiles: [keyFile],
        identitiesOnly: true,
        banner: (text) => {
          banner = `${banner}${text}`.slice(0, maxAnswerChars);
        },
      },
      keepalive: { intervalMs: keepalive.intervalSeconds * 1000, maxMissed: keepalive.maxMissed },
      signal: this.#stop.signal,
    });
    using _ = closedWith(this.#stop.signal, connection);
    const { status, out, err } = await ask(connection, name);
    if (status !== 0) {
      const waits = `${banner}\n${err}`.match(/postern device approve ([A-Z0-9]{4}-[A-Z0-9]{4})/);
      if (waits !== null || err.includes("not approved yet"))
        return { state: { kind: "waiting", code: waits?.[1] }, held: false };
      const said = printable(err).trim().slice(0, maxReasonChars);
      return { state: { kind: "away", reason: said || "The gateway took no device's name." }, held: false };
    }
    // An operator may have renamed it: the name is the authority's to give.
    const given = /^# ([A-Za-z0-9._-]{1,63}) is approved/.exec(out)?.[1] ?? name;
    if (!this.#joined) log.info("device-approved", { name: given });
    this.#joined = true;
    return await this.#hold(connection, given);
  }

  async #hold(connection: ClientConnection, name: string): Promise<Visit> {
    const refusals: string[] = [];
    for (const offer of this.#offers) {
      const refusal = await this.#offer(connection, name, offer, 1);
      if (refusal !== undefined) refusals.push(refusal);
    }
    const [refusal] = refusals;
    if (refusal !== undefined && this.#held.size === 0) {
      // A connection that has ended answers every question with no: then its end is the reason.
      await connection.close();
      const { error } = await connection.ended;
      const reason = error === undefined ? refusal : sentenceOf(error);
      return { state: { kind: "away", reason }, held: false };
    }
    const { log, keyFile, key } = this.#parts;
    const about = { log, keyFile, key, ask: (command: string) => ask(connection, command) };
    using _ = this.#gate.certificate ? new CertificateKeeper(about) : undefined;
    this.#told = "";
    this.#become({ kind: "up", sinceMs: Date.now() });
    const { error } = await connection.ended;
    const reason = error === undefined ? "The connection was closed here." : sentenceOf(error);
    return { state: { kind: "away", reason }, held: true };
  }

  /** Undefined when the gateway holds it; else why not, and it is asked again later. */
  async #offer(
    connection: ClientConnection,
    name: string,
    offer: Offer,
    tries: number,
  ): Promise<string | undefined> {
    const { log } = this.#parts;
    const { port, to } = offer;
    try {
      await connection.listenTcp({ host: name, port }, (remote) => void this.#take(remote, offer));
    } catch (error) {
      if (!(error instanceof clientErrors.DENIED_CLIENT_CHANNEL)) throw error;
      const waitMs = retryDelayMs(tries, askAgain, Math.random());
      const reason = `${this.name} gives ${name} no port ${port}: its operator has to approve it.`;
      if (tries === 1) log.warn("tunnel-refused", { port, reason });
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        this.#offer(connection, name, offer, tries + 1).catch(() => {
          // The connection's own end is told where it is waited for.
        });
      }, waitMs);
      this.#retries.add(timer);
      return reason;
    }
    this.#held.add(port);
    this.#parts.changed();
    log.info("tunnel-held", { name, port, to: to === undefined ? "the service on board" : placeText(to) });
    return undefined;
  }

  async #take(remote: RemoteConnection, { port, to }: Offer): Promise<void> {
    if (this.#connections >= maxConnections) {
      remote.refuse("this device has too many connections");
      return;
    }
    this.#connections += 1;
    const { log } = this.#parts;
    const from = remote.origin.address;
    try {
      if (to === undefined) {
        const stream = remote.accept();
        const closed = new Promise<void>((resolve) => stream.once("close", resolve));
        this.#parts.serve(stream);
        await closed;
        return;
      }
      const options = { timeoutMs: dialMs, signal: this.#stop.signal };
      const socket = await (to.kind === "unix" ? dialUnix(to.path, options) : dialTcp(to, options)).catch(
        (error: unknown) => {
          remote.refuse(sentenceOf(error));
          throw error;
        },
      );
      log.debug("connection-opened", { port, from });
      await join(remote.accept(), socket);
    } catch (error) {
      log.warn("connection-refused", { port, from, reason: sentenceOf(error) });
    } finally {
      this.#connections -= 1;
    }
  }
}

/** Says our name, and hears whether that is ours; or fetches something. */
async function ask(
  connection: ClientConnection,
  command: string,
): Promise<{ status: number; out: string; err: string }> {
  await using session = await connection.session({ command });
  const late = setTimeout(() => connection.destroy(), answerMs);
  try {
    session.stream.end();
    const [out, err, exit] = await Promise.all([
      textOf(session.stream),
      textOf(session.stderr),
      session.exit,
    ]);
    return { status: exit !== undefined && "status" in exit ? exit.status : 255, out, err };
  } finally {
    clearTimeout(late);
  }
}

/** All that it says, of which the beginning is kept. */
async function textOf(stream: Duplex): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  stream.on("data", (chunk: Buffer) => {
    if (text.length < maxAnswerChars) text += decoder.decode(chunk, { stream: true });
  });
  stream.on("error", () => {
    // What came before counts.
  });
  await new Promise<void>((resolve) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
  });
  return text;
}

function closedWith(signal: AbortSignal, connection: ClientConnection): Disposable {
  const close = (): void => void connection.close();
  if (signal.aborted) close();
  signal.addEventListener("abort", close, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", close) };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}

export function placeText(to: ForwardPlace): string {
  return to.kind === "unix" ? to.path : formatHostPort(to);
}
