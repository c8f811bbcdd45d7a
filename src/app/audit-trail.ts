import { type AuditConfig, createAuditSink } from "#audit";
import type { AuditPorts, AuditRecord, AuditSink } from "#contract";

/** All places where the audit of one world goes. */
export class AuditTrail implements AsyncDisposable {
  readonly #sinks: readonly AuditSink[];
  readonly #owned: AsyncDisposableStack;

  private constructor(sinks: readonly AuditSink[], owned: AsyncDisposableStack) {
    this.#sinks = sinks;
    this.#owned = owned;
  }

  /** Undefined: there is no audit. Throws OPERATOR_ errors; then nothing is left open. */
  static async open(configs: readonly AuditConfig[], ports: AuditPorts): Promise<AuditTrail | undefined> {
    if (configs.length === 0) return undefined;
    await using made = new AsyncDisposableStack();
    const sinks: AuditSink[] = [];
    for (const config of configs) sinks.push(made.use(await createAuditSink(config, ports)));
    return new AuditTrail(sinks, made.move());
  }

  write(record: AuditRecord): void {
    for (const sink of this.#sinks) sink.write(record);
  }

  reopen(): void {
    for (const sink of this.#sinks) sink.reopen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
