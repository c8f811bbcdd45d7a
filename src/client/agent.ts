import { connect } from "node:net";
import { AgentClient, type AgentIdentity, type AgentReply } from "#ssh/agent";
import { clientErrors } from "./errors.ts";
import { reasonOf } from "./dial.ts";

/** An agent that does not even list its keys in this time is broken. */
const listMs = 10_000;

/** A signature may wait for somebody to find the security key and touch it. */
const signMs = 120_000;

/** An ssh-agent at a UNIX socket: the one of SSH_AUTH_SOCK as a rule. Each request has a connection of its own. */
export class Agent {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
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

  #failure(reason: string, cause?: unknown): Error {
    return new clientErrors.OPERATOR_CLIENT_KEY(`The agent at ${this.path} is of no use: ${reason}.`, {
      cause,
    });
  }

  async #ask(request: (agent: AgentClient) => void, timeoutMs: number): Promise<AgentReply> {
    const answer = Promise.withResolvers<AgentReply>();
    const socket = connect(this.path);
    const agent = new AgentClient({ send: (bytes) => void socket.write(bytes) });
    const timer = setTimeout(
      () => answer.reject(this.#failure(`no answer in ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    socket.on("data", (chunk: Buffer) => {
      try {
        const [reply] = agent.receive(chunk);
        if (reply !== undefined) answer.resolve(reply);
      } catch (error) {
        answer.reject(this.#failure("its answer makes no sense", error));
      }
    });
    socket.on("error", (error) => answer.reject(this.#failure(reasonOf(error), error)));
    socket.on("close", () => answer.reject(this.#failure("it ended the conversation")));
    try {
      request(agent);
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }
}
