import { createHash, timingSafeEqual } from "node:crypto";
import { type Clock, randomId } from "#base";
import type { PeerAddress } from "#contract";
import type { ApiConfig, ApiTokenConfig } from "./schema.ts";
import type { ApiTurns } from "./turns.ts";

/** 160 bits: no guess ever hits, so a plain hash of it can stand in a file. */
const tokenChars = 32;

/** Told by this, wherever it is left lying. */
const tokenBeginning = "postern_api_";

/** Longer ones are not looked at. */
const maxHeaderChars = 256;

export function newApiToken(): string {
  return `${tokenBeginning}${randomId(tokenChars)}`;
}

/** As the configuration has it. */
export function apiTokenHash(token: string): string {
  return `sha256:${createHash("sha256").update(token).digest("hex")}`;
}

export type Known =
  | { readonly kind: "known"; readonly token: ApiTokenConfig }
  /** The client is told no more than that it is unknown; `name`: whose token it was, for the audit. */
  | { readonly kind: "unknown"; readonly reason: string; readonly name?: string }
  | { readonly kind: "too-often"; readonly name: string; readonly waitSeconds: number };

/** Who asks, and how often. */
export class ApiTokens {
  readonly #config: ApiConfig;
  readonly #clock: Clock;
  readonly #turns: ApiTurns;

  constructor(config: ApiConfig, clock: Clock, turns: ApiTurns) {
    this.#config = config;
    this.#clock = clock;
    this.#turns = turns;
  }

  /** `header`: the value of Authorization. */
  async judge(header: string | undefined, from: PeerAddress): Promise<Known> {
    const shown = bearerOf(header);
    if (shown === undefined) return { kind: "unknown", reason: "no token was shown" };
    const hash = createHash("sha256").update(shown).digest();
    let found: ApiTokenConfig | undefined;
    // All are compared, each in the same time: how long it takes tells nothing of any.
    for (const token of this.#config.tokens)
      if (timingSafeEqual(Buffer.from(token.hash, "hex"), hash)) found = token;
    if (found === undefined) return { kind: "unknown", reason: "the token is unknown" };
    const { name, until, from: networks } = found;
    if (until !== undefined && this.#clock.now() >= until)
      return { kind: "unknown", reason: "the token's time is over", name };
    const { ip } = from;
    if (networks !== undefined && !networks.some((each) => ip !== undefined && each.contains(ip)))
      return { kind: "unknown", reason: "the token is not for this network", name };
    const waitSeconds = await this.#turns.take(name, this.#config.requestsPerMinute);
    return waitSeconds > 0 ? { kind: "too-often", name, waitSeconds } : { kind: "known", token: found };
  }
}

function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > maxHeaderChars) return undefined;
  return /^Bearer +([\w.~+/-]+=*)$/i.exec(header)?.[1];
}
