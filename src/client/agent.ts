import { connect, type Socket } from "node:net";
import { AgentClient, type AgentIdentity, type AgentReply, type SessionBinding } from "#ssh/agent";
import { clientErrors } from "./errors.ts";
import { reasonOf } from "./dial.ts";

/** An agent that does not even list its keys in this time is broken. */
const listMs = 10_000;

/** A signature may wait for somebody to find the security key and touch it. */
const signMs = 120_000;

/**
 * An ssh-agent at a UNIX socket: the one of SSH_AUTH_SOCK as a rule. Each request has a connection of its own, which is told first for
 * which SSH connection it is: some keys may be used for certain hosts alone (`ssh-add -h`). An agent that cannot be told is asked all
 * the same.
 */
export class Agent {
  readonly path: string;
  readonly #binding: SessionBinding | undefined;

  constructor(path: string, binding?: SessionBinding) {
    this.path = path;
    this.#binding = binding;
  }

  /** Throws OPERATOR_CLIENT_KEY. */
  async identities(): Promise<readonly AgentIdentity[]> {
    const reply = await this.#ask((agent) => agent.requestIdentities(), listMs);
    if (reply.kind === "identities") return reply.identities;
    throw this.#failure("it does not list its keys");
  }

  /** The whole signature blob by the key of that blob. Throws OPERATOR_CLIENT_KEY. */
  async sign(blob: Uint8Array, algorithm: string, data: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#ask((agent) => agent.requestSignature(blob, algorithm, data), signMs);
    if (reply.kind === "signature") return reply.signature;
    throw this.#failure("it refused to sign");
  }

  /** A conversation for whoever is behind the SSH connection, which the agent has been told. Throws OPERATOR_CLIENT_KEY. */
  async open(): Promise<Socket> {
    const socket = connect({ path: this.path, allowHalfOpen: true });
    try {
      const binding = this.#binding;
      if (binding === undefined) await this.#converse(socket, () => 0, listMs);
      else await this.#converse(socket, (agent) => (agent.bindSession(binding, true), 1), listMs);
      // Whoever takes it listens; until then an early error must not end the process.
      socket.on("error", () => {});
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  #failure(reason: string, cause?: unknown): Error {
    return new clientErrors.OPERATOR_CLIENT_KEY(`The agent at ${this.path} is of no use: ${reason}.`, {
      cause,
    });
  }

  async #ask(request: (agent: AgentClient) => void, timeoutMs: number): Promise<AgentReply> {
    const socket = connect(this.path);
    try {
      const replies = await this.#converse(
        socket,
        (agent) => {
          if (this.#binding !== undefined) agent.bindSession(this.#binding);
          request(agent);
          return this.#binding === undefined ? 1 : 2;
        },
        timeoutMs,
      );
      const last = replies.at(-1);
      if (last === undefined) throw this.#failure("it said nothing");
      return last;
    } finally {
      socket.on("error", () => {});
      socket.destroy();
    }
  }

  /** Asks, and waits for as many replies as `request` says; the socket is then paused, and nobody listens to it. */
  async #converse(
    socket: Socket,
    request: (agent: AgentClient) => number,
    timeoutMs: number,
  ): Promise<readonly AgentReply[]> {
    const answer = Promise.withResolvers<readonly AgentReply[]>();
    const replies: AgentReply[] = [];
    const agent = new AgentClient({ send: (bytes) => void socket.write(bytes) });
    const timer = setTimeout(
      () => answer.reject(this.#failure(`no answer in ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    let due = 0;
    socket.once("connect", () => {
      due = request(agent);
      if (due === 0) answer.resolve(replies);
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        replies.push(...agent.receive(chunk));
        if (replies.length >= due) answer.resolve(replies);
      } catch (error) {
        answer.reject(this.#failure("its answer makes no sense", error));
      }
    });
    socket.on("error", (error) => answer.reject(this.#failure(reasonOf(error), error)));
    socket.on("close", () => answer.reject(this.#failure("it ended the conversation")));
    socket.on("end", () => answer.reject(this.#failure("it ended the conversation")));
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.pause();
    }
  }
}
