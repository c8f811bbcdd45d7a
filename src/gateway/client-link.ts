import { Link } from "#link";
import type { Duplex } from "node:stream";
import { announced } from "./announced.ts";
import { versionLines } from "./version-line.ts";
import type { World } from "./world.ts";

/** SSH with a client, as the gateway's world has it. */
export function openClientLink(stream: Duplex, world: World): Link {
  const { settings } = world;
  return new Link(stream, {
    role: "server",
    version: versionLines(settings.name).alike,
    algorithms: settings.algorithms,
    hostKeys: world.hostKeys,
    extensions: announced(world.signatureAlgorithms),
    rekey: settings.rekey,
    random: settings.random,
    clock: settings.clock,
    handshakeMs: settings.handshakeMs,
  });
}
