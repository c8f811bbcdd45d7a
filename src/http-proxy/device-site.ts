import type { Duplex } from "node:stream";
import type { PosternError } from "#base";
import type { Device } from "#contract";
import type { Asked, Reply } from "./asked.ts";
import { type ExchangePorts, Exchanges } from "./exchange.ts";
import { Gate, type GatePorts, type Judged } from "./gate.ts";
import { deviceOfHost } from "./host.ts";
import { goTo, type Page, plainPage, say } from "./pages.ts";
import { pageAt, placedByPath } from "./prefix.ts";
import type { WebConfig } from "./schema.ts";
import type { Site } from "./site.ts";
import type { Visitor } from "./visitor.ts";

export interface DeviceSitePorts extends GatePorts, ExchangePorts {}

/** Web pages of devices, each at its own host. */
export class DeviceSite implements Site {
  readonly plain: Site["plain"];
  readonly #config: WebConfig;
  readonly #ports: DeviceSitePorts;
  readonly #gate: Gate;
  readonly #exchanges: Exchanges;

  constructor(config: WebConfig, ports: DeviceSitePorts) {
    this.plain = config.plain;
    this.#config = config;
    this.#ports = ports;
    this.#gate = new Gate(config, ports);
    this.#exchanges = new Exchanges(config, ports);
  }

  takes(host: string): boolean {
    const { domain, paths } = this.#config;
    return host === paths?.host || deviceOfHost(host, domain) !== undefined;
  }

  async answer(asked: Asked, reply: Reply, visitor: Visitor): Promise<void> {
    const found = await this.#judge(asked, visitor, false);
    if (found.kind === "page") await say(reply, found.page);
    else await this.#exchanges.serve(found.passed, reply);
  }

  async upgrade(asked: Asked, reply: Reply, visitor: Visitor, stream: Duplex, head: Buffer): Promise<void> {
    const found = await this.#judge(asked, visitor, true);
    if (found.kind === "page") await say(reply, found.page, true);
    else await this.#exchanges.upgrade(found.passed, reply, stream, head);
  }

  /** Only who was let in comes so far. */
  async failure(asked: Asked, { code, user }: PosternError): Promise<Page> {
    const name = this.#nameOf(asked);
    if (code === "UPSTREAM_WEB_BUSY")
      return { ...plainPage(503, `${name} is busy`, user), fields: [["Retry-After", "1"]] };
    if (code === "UPSTREAM_WEB_SILENT") return plainPage(504, `${name} does not answer`, user);
    if (code !== "UPSTREAM_DEVICE_OFFLINE") return plainPage(502, `${name} does not answer`, user);
    const device = await this.#ports.devices.byName(name);
    return plainPage(502, `${name} is offline`, ...seenText(device, this.#ports.clock.now()));
  }

  /** Which device, and whether it may be seen. */
  async #judge(
    asked: Asked,
    visitor: Visitor,
    upgrades: boolean,
  ): Promise<
    | { readonly kind: "page"; readonly page: Page }
    | { readonly kind: "in"; readonly passed: Parameters<Exchanges["serve"]>[0] }
  > {
    const { client } = visitor;
    if (asked.host !== this.#config.paths?.host) {
      const judged = await this.#gate.judge(asked, this.#nameOf(asked), client, upgrades);
      return judged.kind === "page" ? judged : { kind: "in", passed: this.#passed(asked, judged, visitor) };
    }
    const placed = placedByPath(asked);
    if (placed === undefined)
      return { kind: "page", page: plainPage(404, "Nothing here", "Devices are at /d/NAME/.") };
    if ("elsewhere" in placed) return { kind: "page", page: { ...goTo(placed.elsewhere), status: 308 } };
    const { name, prefix } = placed;
    const judged = await this.#gate.judge(placed.asked, name, client, upgrades);
    return judged.kind === "page"
      ? { kind: "page", page: pageAt(prefix, judged.page) }
      : { kind: "in", passed: { ...this.#passed(placed.asked, judged, visitor), prefix } };
  }

  #nameOf(asked: Asked): string {
    const { domain, paths } = this.#config;
    if (asked.host !== paths?.host) return deviceOfHost(asked.host, domain) ?? "";
    const placed = placedByPath(asked);
    return placed !== undefined && "name" in placed ? placed.name : "";
  }

  #passed(
    asked: Asked,
    { device, by, rule, user, fields }: Judged & { readonly kind: "in" },
    visitor: Visitor,
  ): Parameters<Exchanges["serve"]>[0] {
    const { desk } = visitor.client;
    visitor.tell(device, { outcome: "opened", by, rule, user });
    // Behind a proxy that has ended TLS there is no other way than https either.
    return { asked, fields, device, from: desk.from, secure: true, user, signal: desk.signal };
  }
}

function seenText(device: Device | undefined, nowMs: number): string[] {
  if (device?.lastSeenMs === undefined) return ["It has not been seen yet."];
  const seconds = Math.max(0, Math.round((nowMs - device.lastSeenMs) / 1000));
  return [
    `It offers no page now. Last seen: ${new Date(device.lastSeenMs).toISOString().replace("T", " ").slice(0, 19)} UTC, ${agoText(seconds)} ago.`,
  ];
}

function agoText(seconds: number): string {
  const [amount, unit] = (
    [
      [86_400, "day"],
      [3600, "hour"],
      [60, "minute"],
    ] as const
  ).flatMap(([size, name]) => (seconds >= size ? [[Math.floor(seconds / size), name] as const] : []))[0] ?? [
    seconds,
    "second",
  ];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}
