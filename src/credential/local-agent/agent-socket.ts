import { connect, type Socket } from "node:net";
import { type Clock, PosternError } from "#base";
import { AgentClient, type AgentIdentity, type AgentReply } from "#ssh/agent";
import { credentialErrors } from "../errors.ts";

export interface AgentSocketOptions {
  /** Path of the agent's UNIX socket. */
  readonly socket: string;
  /** Milliseconds for one request, connecting included. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * An ssh-agent at a UNIX socket. Each request has a connection of its own, so that nothing is held open and no request waits for
 * another. Rejects with OPERATOR_AGENT_ errors that name the socket.
 */
export class AgentSocket {
  readonly #options: AgentSocketOptions;

  constructor(options: AgentSocketOptions) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.socket;
  }

  async identities(): Promise<readonly AgentIdentity[]> {
    const reply = await this.#ask((agent) => agent.requestIdentities());
    if (reply.kind === "identities") return reply.identities;
    throw new credentialErrors.OPERATOR_AGENT_REFUSED(`${this.path}: the list of its keys`);
  }

  /** A signature by the key of that blob: the whole signature blob, not yet verified. */
  async sign(blob: Uint8Array, algorithm: string, data: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#ask((agent) => agent.requestSignature(blob, algorithm, data));
    if (reply.kind === "signature") return reply.signature;
    throw new credentialErrors.OPERATOR_AGENT_REFUSED(`${this.path}: a signature by ${algorithm}`);
  }

  async #ask(request: (agent: AgentClient) => void): Promise<AgentReply> {
    const { socket: path, timeoutMs, clock } = this.#options;
    const answer = Promise.withResolvers<AgentReply>();
    const socket = connect(path);
    using _timer = clock.after(timeoutMs, () =>
      answer.reject(new credentialErrors.OPERATOR_AGENT_SILENT(`${path}: ${timeoutMs} ms`)),
    );
    const agent = new AgentClient({ send: (bytes) => void socket.write(bytes) });
    this.#listen(socket, agent, answer);
    try {
      request(agent);
      return await answer.promise;
    } finally {
      socket.destroy();
    }
  }

  #listen(socket: Socket, agent: AgentClient, answer: PromiseWithResolvers<AgentReply>): void {
    const { path } = this;
    const broken = (reason: string, cause?: unknown): void =>
      answer.reject(new credentialErrors.OPERATOR_AGENT_BROKEN(`${path}: ${reason}`, { cause }));
    let connected = false;
    socket.once("connect", () => {
      connected = true;
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        const [reply] = agent.receive(chunk);
        if (reply !== undefined) answer.resolve(reply);
      } catch (error) {
        broken(error instanceof PosternError ? (error.detail ?? error.message) : String(error), error);
      }
    });
    // After a forced end there may be more errors than one.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (connected) broken(error.message, error);
      else
        answer.reject(
          new credentialErrors.OPERATOR_AGENT_UNREACHABLE(`${path}: ${reasonOf(error)}`, { cause: error }),
        );
    });
    socket.once("close", () => broken("it ended the conversation without an answer"));
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "there is no such socket";
    case "ECONNREFUSED":
      return "nobody listens at it";
    case "EACCES":
    case "EPERM":
      return "the gateway may not use it";
    default:
      return error.message;
  }
}
