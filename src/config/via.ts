import { duration, type HostPort, parseHostPort, PosternError } from "#base";
import type { HostKeyPolicy } from "#contract";
import { type CredentialConfig, credentialKinds } from "#credential";
import { type HopConfig, hopKinds } from "#dialer";
import * as z from "zod";
import { kindUnion } from "./kind-union.ts";
import { hostKey } from "./upstream.ts";

/** A jump host of our own. */
export interface JumpHopConfig {
  readonly kind: "ssh";
  readonly address: HostPort;
  readonly user: string;
  readonly credentials: readonly CredentialConfig[];
  readonly hostKey: HostKeyPolicy;
  readonly idleMs: number;
  readonly connectTimeoutMs: number;
  readonly dangerouslyAllowSha1: boolean;
}

export type ViaConfig = HopConfig | JumpHopConfig;

const address = z
  .string()
  .min(1)
  .transform((value, ctx): HostPort => {
    try {
      return parseHostPort(value, 22);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      ctx.addIssue({ code: "custom", message: error.detail ?? error.message });
      return z.NEVER;
    }
  })
  .meta({ "x-form": "address", examples: ["jump.example.com:22"] });

const jump: z.ZodType<JumpHopConfig> = z
  .strictObject({
    kind: z.literal("ssh"),
    address: address.describe("Where it is: host:port, or host for port 22."),
    user: z.string().min(1).describe("User name there."),
    credentials: z
      .array(kindUnion(credentialKinds))
      .min(1)
      .describe("How the gateway logs in there, in order, until one works; not with what a client has."),
    hostKey,
    idleSeconds: duration({ min: 0, max: 86_400 })
      .prefault(300)
      .describe("The connection is shared by all that goes this way, and closed after so long without any."),
    connectTimeoutSeconds: duration({ min: 0.1, max: 600 }).prefault(10).describe("Time to connect to it."),
    dangerouslyAllowSha1: z
      .boolean()
      .default(false)
      .describe("Accept ssh-rsa signatures (SHA-1) from an old server that knows nothing else."),
  })
  .superRefine(({ credentials }, ctx) => {
    for (const [at, { kind }] of credentials.entries()) {
      if (kind !== "client-password" && kind !== "agent") continue;
      const message = "belongs to one client, and this connection is for all";
      ctx.addIssue({ code: "custom", path: ["credentials", at, "kind"], message });
    }
  })
  .transform(({ idleSeconds, connectTimeoutSeconds, ...rest }) => ({
    ...rest,
    idleMs: idleSeconds * 1000,
    connectTimeoutMs: connectTimeoutSeconds * 1000,
  }));

const jumpKind = {
  kind: "ssh",
  summary: "A jump host: an SSH server that the gateway logs in to, and forwards by it (as ssh -J does).",
  schema: jump,
};

/** Each hop is reached by the one before it. */
export const via: z.ZodType<readonly ViaConfig[]> = z
  .array(kindUnion([jumpKind, ...hopKinds]))
  .superRefine((hops, ctx) => {
    for (const [at, { kind }] of hops.entries()) {
      if (kind !== "command" || at === 0) continue;
      const message = "makes a connection by itself, so it must be the first";
      ctx.addIssue({ code: "custom", path: [at, "kind"], message });
    }
  })
  .default([])
  .describe(
    "The way to it, hop by hop, each reached by the one before it; the last one connects to the target's addresses. Default: straight.",
  );
