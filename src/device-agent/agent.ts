import { join } from "node:path";
import { loadavg, uptime } from "node:os";
import type { Duplex } from "node:stream";
import { type Log, version } from "#base";
import { ensureKey, ensureServiceToken } from "./files.ts";
import { GateLine, type GateReport } from "./gate-line.ts";
import type { AgentConfig, GateConfig } from "./schema.ts";
import { Service } from "./service.ts";

export interface AgentParts {
  readonly log: Log;
  /** Of which programs are given PATH, HOME and LANG. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Something about the gateways is different now. */
  readonly changed?: (status: AgentStatus) => void;
}

export interface AgentStatus {
  readonly name: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly agentUptimeSeconds: number;
  readonly load: readonly number[];
  readonly gates: readonly GateReport[];
}

/** A device's side of the tunnels: one line to each gateway, and the service on board. */
export class DeviceAgent implements AsyncDisposable {
  readonly #parts: AgentParts;
  readonly #sinceMs = performance.now();
  readonly #lines = new Map<string, GateLine>();
  #config: AgentConfig;
  #service: Service | undefined;
  #serviceIdentity = "";

  private constructor(config: AgentConfig, parts: AgentParts) {
    this.#config = config;
    this.#parts = parts;
  }

  /** Makes what is missing (key, token), and begins. Throws OPERATOR_AGENT_FILE. */
  static async start(config: AgentConfig, parts: AgentParts): Promise<DeviceAgent> {
    const agent = new DeviceAgent(config, parts);
    await agent.apply(config);
    return agent;
  }

  /** Another file: lines of which nothing changes stay as they are. Throws OPERATOR_AGENT_FILE, and nothing has changed then. */
  async apply(config: AgentConfig): Promise<void> {
    const { log } = this.#parts;
    const keyFile = config.key ?? join(config.stateDir, "id_ed25519");
    const key = await ensureKey(keyFile);
    await this.#applyService(config);
    this.#config = config;
    const wanted = new Map(config.gates.map((gate) => [identityOf(config, gate, `${keyFile} ${key}`), gate]));
    const leaving = [...this.#lines].filter(([identity]) => !wanted.has(identity));
    for (const [identity] of leaving) this.#lines.delete(identity);
    await Promise.all(leaving.map(([, line]) => line[Symbol.asyncDispose]()));
    for (const [identity, gate] of wanted) {
      if (this.#lines.has(identity)) continue;
      const line = new GateLine(gate, config, {
        log,
        keyFile,
        key,
        serve: (stream) => this.#serve(stream),
        changed: () => this.#parts.changed?.(this.status),
      });
      this.#lines.set(identity, line);
    }
    log.info("agent-works", {
      name: config.name,
      key,
      gates: [...this.#lines.values()].map(({ name }) => name),
    });
  }

  get status(): AgentStatus {
    return {
      name: this.#config.name,
      version,
      uptimeSeconds: Math.round(uptime()),
      agentUptimeSeconds: Math.round((performance.now() - this.#sinceMs) / 1000),
      load: loadavg(),
      gates: [...this.#lines.values()].map(({ report }) => report),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const lines = [...this.#lines.values()];
    this.#lines.clear();
    await Promise.all(lines.map((line) => line[Symbol.asyncDispose]()));
    await this.#service?.[Symbol.asyncDispose]();
    this.#service = undefined;
  }

  /** One of which nothing changes stays: an update may be at work, and may have asked for this reload. */
  async #applyService({ service: config, stateDir }: AgentConfig): Promise<void> {
    const identity = JSON.stringify([config, stateDir]);
    if (identity === this.#serviceIdentity) return;
    let service: Service | undefined;
    if (config !== undefined) {
      const token = await ensureServiceToken(join(stateDir, "service-token"));
      const { log, environment } = this.#parts;
      service = new Service(config, { token, log, environment, status: () => this.status });
    }
    await this.#service?.[Symbol.asyncDispose]();
    this.#service = service;
    this.#serviceIdentity = identity;
  }

  #serve(stream: Duplex): void {
    if (this.#service === undefined) stream.destroy();
    else this.#service.take(stream);
  }
}

/** All that a line stands on: when this is the same, it need not be made anew. */
function identityOf(config: AgentConfig, gate: GateConfig, key: string): string {
  const { name, forwards, service, retry, keepalive } = config;
  const token = gate.token?.text();
  return JSON.stringify([{ ...gate, token }, name, forwards, service?.port, retry, keepalive, key]);
}
