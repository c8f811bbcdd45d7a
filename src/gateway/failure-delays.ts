import { createHmac } from "node:crypto";
import type { Clock } from "#base";

/** Times kept for each rule: enough to look like the upstream, little enough to follow it when it changes. */
const ringSize = 32;

/** Rules whose times are kept; names come from the configuration, so this only bounds many reloads. */
const maxRules = 10_000;

/**
 * Public keys are asked about in numbers, so their refusals wait only long enough to cover the reading of a file: OpenSSH's own
 * minimum is 5 ms and as much again by the user's name.
 */
const keyFloorMs = 10;

/** What lies above the floor is rounded up to a multiple of this share of it. */
const stepsPerFloor = 4;

export interface FailureDelayOptions {
  readonly clock: Clock;
  /** Keeps the choices below secret; the same in all processes and over restarts, or a change would show. */
  readonly secret: Uint8Array;
  /** Milliseconds before which no refused password is answered. */
  readonly passwordFloorMs: number;
  /** Gives 0 ≤ x < 1. */
  readonly random?: () => number;
}

/** What was tried; the second password on one connection finds the upstream connected already, and is answered sooner. */
export type AttemptKind = "first-password" | "next-password" | "first-question" | "key";

/**
 * Lets refusals of unknown names take the time that refusals of known ones take (docs/threat-model.md, "Timing").
 *
 * An unknown name is given, by a keyed hash, one of the rules as its shadow, for ever the same: it does that rule's work (the same
 * hash at the same cost, the same files), and where that rule asks the upstream, it waits as long as one of the upstream's recent
 * refusals took. On top of that all refusals of one name come at a floor of its own, or at steps above it.
 */
export class FailureDelays {
  readonly #options: FailureDelayOptions;
  readonly #random: () => number;
  readonly #rings = new Map<string, number[]>();
  /** A reload may change it. */
  passwordFloorMs: number;

  constructor(options: FailureDelayOptions) {
    this.#options = options;
    this.passwordFloorMs = options.passwordFloorMs;
    this.#random = options.random ?? Math.random;
  }

  /** One of `choices`, always the same for the same name as long as they are. */
  shadow<T>(user: string, choices: readonly T[]): T | undefined {
    if (choices.length === 0) return undefined;
    return choices[Math.floor(this.#fraction("shadow", user) * choices.length)];
  }

  /** Remembers how long an upstream took to refuse. */
  record(rule: string, kind: AttemptKind, elapsedMs: number): void {
    const name = `${kind} ${rule}`;
    let ring = this.#rings.get(name);
    if (ring === undefined) {
      if (this.#rings.size >= maxRules) return;
      ring = [];
      this.#rings.set(name, ring);
    }
    ring.push(elapsedMs);
    if (ring.length > ringSize) ring.shift();
  }

  /** How long an upstream under this rule might take to refuse; 0 as long as it never has. */
  sample(rule: string, kind: AttemptKind): number {
    const ring = this.#rings.get(`${kind} ${rule}`) ?? this.#rings.get(`first-password ${rule}`) ?? [];
    return ring[Math.floor(this.#random() * ring.length)] ?? 0;
  }

  /** When a refusal that was ready `elapsedMs` after the attempt may be told, in milliseconds after the attempt. */
  dueMs(user: string, kind: AttemptKind, elapsedMs: number): number {
    const base = kind === "key" ? keyFloorMs : this.passwordFloorMs;
    const floor = base * (1 + this.#fraction("floor", user) / 4);
    if (elapsedMs <= floor) return floor;
    const step = floor / stepsPerFloor;
    return floor + Math.ceil((elapsedMs - floor) / step) * step;
  }

  /** Waits until a refusal of an attempt that began at `startedMs` (monotonic) may be told; shorter only if aborted. */
  async wait(
    user: string,
    kind: AttemptKind,
    startedMs: number,
    atLeastMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#options;
    const elapsed = clock.monotonic() - startedMs;
    const left = this.dueMs(user, kind, Math.max(elapsed, atLeastMs)) - elapsed;
    if (left <= 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = clock.after(left, done);
      signal.addEventListener("abort", done);
    });
  }

  /** 0 ≤ x < 1, by the name. */
  #fraction(purpose: string, user: string): number {
    const digest = createHmac("sha256", this.#options.secret).update(`${purpose}\0${user}`).digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  }
}
