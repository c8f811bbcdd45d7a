import type { Duplex } from "node:stream";
import { Link } from "#link";
import { type ConnClose, type PacketView, payloadOf } from "#ssh/transport";
import {
  type UserauthAttempt,
  UserauthClient,
  type UserauthClientEvent,
  UserauthServer,
} from "#ssh/userauth";
import { linkOptions } from "#test/support/links";

/** What a fake upstream does with one attempt. */
export type UpstreamAnswer =
  | "accept"
  | "reject"
  | "partial"
  | "key-ok"
  | "silence"
  | "disconnect"
  | { readonly change: string }
  | { readonly ask: readonly { readonly text: string; readonly echo: boolean }[] };

export interface FakeUpstreamOptions {
  readonly methods?: readonly string[];
  readonly banner?: string;
  /** Called for each attempt, and with the responses of a keyboard-interactive round. */
  answer(
    attempt: UserauthAttempt | { readonly method: "responses"; readonly responses: readonly string[] },
    user: string,
  ): UpstreamAnswer;
}

/** The server's end of an upstream connection, which answers logins by a script and keeps what comes after them. */
export class FakeUpstream {
  readonly link: Link;
  readonly attempts: string[] = [];
  readonly received: Uint8Array[] = [];
  readonly closed: Promise<ConnClose>;
  accepted = false;
  readonly #got: (() => void)[] = [];

  constructor(stream: Duplex, options: FakeUpstreamOptions) {
    this.link = new Link(stream, linkOptions("server"));
    const closed = Promise.withResolvers<ConnClose>();
    this.closed = closed.promise;
    void this.link.established.then(
      (established) => {
        const server = new UserauthServer({
          send: (payload) => this.link.send(payload),
          sessionId: established.sessionId,
          hostKey: established.hostKey,
          signatureAlgorithms: ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256"],
          maxAttempts: 20,
        });
        if (options.banner !== undefined) server.banner(options.banner);
        this.link.attach({
          packet: (packet) => this.#packet(packet, server, options),
          closed: closed.resolve,
        });
      },
      () => closed.resolve({ kind: "failed" }),
    );
  }

  /** Resolves when `count` payloads have come after the login. */
  async received_(count: number): Promise<void> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#got.push(resolve));
  }

  #packet(packet: PacketView, server: UserauthServer, options: FakeUpstreamOptions): void {
    if (server.accepted) {
      this.received.push(Uint8Array.from(payloadOf(packet)));
      for (const wake of this.#got.splice(0)) wake();
      return;
    }
    const event = server.receive(payloadOf(packet));
    if (event === undefined) return;
    const attempt =
      event.kind === "attempt"
        ? event.attempt
        : ({
            method: "responses",
            responses: event.responses.map((text) => Buffer.from(text).toString()),
          } as const);
    this.attempts.push(describe(attempt));
    const answer = options.answer(attempt, event.user);
    const methods = options.methods ?? ["password", "publickey"];
    if (answer === "accept") {
      server.accept();
      this.accepted = true;
    } else if (answer === "reject") server.reject(methods);
    else if (answer === "partial") server.reject(methods, true);
    else if (answer === "key-ok") server.acceptKey();
    else if (answer === "disconnect") {
      this.link.disconnect(2, "Too many authentication failures");
    } else if (answer === "silence") return;
    else if ("change" in answer) server.requestPasswordChange(answer.change);
    else server.challenge({ name: "", instruction: "", prompts: answer.ask });
  }
}

function describe(attempt: Parameters<FakeUpstreamOptions["answer"]>[0]): string {
  switch (attempt.method) {
    case "password": {
      const change =
        attempt.newPassword === undefined ? "" : ` -> ${Buffer.from(attempt.newPassword).toString()}`;
      return `password ${Buffer.from(attempt.password).toString()}${change}`;
    }
    case "publickey":
      return `publickey ${attempt.proof}`;
    case "responses":
      return `responses ${attempt.responses.join(",")}`;
    default:
      return attempt.method;
  }
}

/** The client's end of a downstream connection: logs in step by step. */
export class FakeClient {
  readonly link: Link;
  readonly banners: string[] = [];
  readonly received: Uint8Array[] = [];
  readonly closed: Promise<ConnClose>;
  #client: UserauthClient | undefined;
  readonly #events: UserauthClientEvent[] = [];
  #wake: () => void = () => {};
  #close: ConnClose | undefined;

  constructor(stream: Duplex) {
    this.link = new Link(stream, linkOptions("client"));
    const closed = Promise.withResolvers<ConnClose>();
    this.closed = closed.promise;
    void closed.promise.then((close) => {
      this.#close = close;
      this.#wake();
    });
    this.link.established.catch(() => closed.resolve({ kind: "failed" }));
    this.#finish = closed.resolve;
  }

  readonly #finish: (close: ConnClose) => void;

  /** The user authentication, ready to try something. */
  async start(user: string): Promise<UserauthClient> {
    const { sessionId, hostKey } = await this.link.established;
    const client = new UserauthClient({
      send: (payload) => this.link.send(payload),
      sessionId,
      hostKey,
      user,
    });
    const first = this.#client === undefined;
    this.#client = client;
    if (first) {
      this.link.attach({
        packet: (packet) => {
          if (this.#client?.authenticated === true) this.received.push(Uint8Array.from(payloadOf(packet)));
          else {
            const event = this.#client?.receive(payloadOf(packet));
            if (event?.kind === "banner") this.banners.push(event.text);
            else if (event !== undefined) this.#events.push(event);
          }
          this.#wake();
        },
        closed: (close) => this.#finish(close),
      });
    }
    client.start();
    await this.next();
    return client;
  }

  /** The next event, or the end of the connection. */
  async next(): Promise<UserauthClientEvent | ConnClose> {
    for (;;) {
      const event = this.#events.shift() ?? this.#close;
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** "success", "failure", or how the connection ended. */
  async password(client: UserauthClient, text: string, newText?: string): Promise<string> {
    client.tryPassword(Buffer.from(text), newText === undefined ? undefined : Buffer.from(newText));
    return outcomeOf(await this.next());
  }
}

export function outcomeOf(event: UserauthClientEvent | ConnClose): string {
  switch (event.kind) {
    case "choose":
      return `failure: ${event.methods.join(",")}`;
    case "disconnected":
      return `disconnected: ${event.description ?? ""}`;
    default:
      return event.kind;
  }
}
