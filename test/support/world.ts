import { startGateway, type Gateway, type GatewayOptions, type Pieces } from "./gateway.ts";
import { startSshd, type Sshd, type SshdOptions } from "./sshd.ts";
import { bareKey, testKeys, type KeyFiles, type KeyKind, type TestKeys } from "./test-keys.ts";
import { testUser, type TestUser } from "./test-user.ts";

/** What most tests stand on: a user, keys, and an sshd that takes them. */
export interface Parts {
  /** Whom the upstream logs in. */
  readonly user: TestUser;
  readonly keys: TestKeys;
  /** The client's key, which the upstream takes too, so that direct logins work. */
  readonly identity: KeyFiles;
  /** The gateway's own key for upstreams. */
  readonly gatewayKey: KeyFiles;
  readonly sshd: Sshd;
}

export interface PartsOptions {
  readonly sshd?: SshdOptions;
  /** More kinds of client keys that the upstream takes: `keys.key(kind, "client")`. */
  readonly clientKeys?: readonly KeyKind[];
}

export async function startParts(options: PartsOptions = {}): Promise<Parts & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const user = stack.use(await testUser());
  const keys = stack.use(await testKeys());
  const identity = keys.key("ed25519", "client");
  const gatewayKey = keys.key("ed25519", "gateway");
  const more = (options.clientKeys ?? []).map((kind) => keys.key(kind, "client"));
  const authorizedKeys = [identity, gatewayKey, ...more].map((key) => key.publicLine);
  const sshd = stack.use(await startSshd({ authorizedKeys, ...options.sshd }));
  const owned = stack.move();
  return { user, keys, identity, gatewayKey, sshd, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export interface World extends Parts, AsyncDisposable {
  readonly gateway: Gateway;
}

/** Parts, and a gateway before them with the rules made from them. */
export async function startWorld(
  options: PartsOptions &
    Omit<GatewayOptions, "rules"> & { readonly rules?: (parts: Parts) => readonly Pieces[] },
): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const parts = stack.use(await startParts(options));
  const rules = options.rules?.(parts) ?? [keyRule(parts)];
  const gateway = stack.use(await startGateway({ ...options, rules }));
  const owned = stack.move();
  return { ...parts, gateway, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** `login` by these public keys. */
export function keyLogin(...keys: readonly KeyFiles[]): Pieces {
  return { kind: "publickey", keys: keys.map((key) => bareKey(key.publicLine)) };
}

/** The `upstream` of a rule: an sshd, entered with a stored key; `more` replaces and adds. */
export function upstreamTo(parts: Pick<Parts, "sshd" | "user" | "gatewayKey">, more: Pieces = {}): Pieces {
  const { sshd, user, gatewayKey } = parts;
  return {
    addresses: [`${sshd.host.includes(":") ? `[${sshd.host}]` : sshd.host}:${sshd.port}`],
    user: user.name,
    credentials: [{ kind: "key", file: gatewayKey.path }],
    hostKey: { knownHosts: sshd.knownHosts },
    ...more,
  };
}

/** A rule that leads one name to the upstream, with a key on both sides; `more` replaces and adds. */
export function keyRule(parts: Parts, name: string = parts.user.name, more: Pieces = {}): Pieces {
  return {
    name,
    match: { user: name },
    login: [keyLogin(parts.identity)],
    upstream: upstreamTo(parts),
    ...more,
  };
}
