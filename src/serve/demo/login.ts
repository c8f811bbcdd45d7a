import { createHash, timingSafeEqual } from "node:crypto";
import type { PacketConn } from "#ssh/transport";
import { payloadOf } from "#ssh/transport";
import { type UserauthAttempt, UserauthServer, type UserauthServerEvent } from "#ssh/userauth";

/** Who may log in to the demo upstream. */
export interface DemoUsers {
  /** User name to password. */
  readonly passwords: Readonly<Record<string, string>>;
  /** User name to public key blobs. */
  readonly keys: Readonly<Record<string, readonly Uint8Array[]>>;
}

export interface LoginOptions {
  readonly users: DemoUsers;
  readonly signatureAlgorithms: readonly string[];
  readonly maxAttempts: number;
  /** Called within the packet that lets the user in: whoever takes over the connection misses nothing. */
  readonly accepted: (user: string) => void;
  readonly closed: () => void;
}

/** Logs a client in on a connection that it takes over. */
export function login(conn: PacketConn, options: LoginOptions): void {
  const server = new UserauthServer({
    send: (payload) => conn.send(payload),
    sessionId: conn.sessionId,
    hostKey: conn.hostKey,
    signatureAlgorithms: options.signatureAlgorithms,
    maxAttempts: options.maxAttempts,
  });
  conn.attach({
    packet: (packet) => {
      const event = server.receive(payloadOf(packet));
      if (event !== undefined) answer(server, event, options);
    },
    closed: () => {
      server.end();
      options.closed();
    },
  });
}

const methods = ["publickey", "password"];

function answer(server: UserauthServer, event: UserauthServerEvent, options: LoginOptions): void {
  if (event.kind === "responses") {
    server.reject(methods);
    return;
  }
  const { user, attempt } = event;
  switch (judge(options.users, user, attempt)) {
    case "accept":
      server.accept();
      options.accepted(user);
      return;
    case "accept-key":
      server.acceptKey();
      return;
    case "reject":
      server.reject(methods);
  }
}

function judge(users: DemoUsers, user: string, attempt: UserauthAttempt): "accept" | "accept-key" | "reject" {
  if (attempt.method === "password") {
    const expected = Object.hasOwn(users.passwords, user) ? users.passwords[user] : undefined;
    const same = timingSafeEqual(digest(attempt.password), digest(Buffer.from(expected ?? "")));
    return same && expected !== undefined && attempt.newPassword === undefined ? "accept" : "reject";
  }
  if (attempt.method !== "publickey" || attempt.key === undefined) return "reject";
  const keys = Object.hasOwn(users.keys, user) ? (users.keys[user] ?? []) : [];
  if (!keys.some((blob) => Buffer.from(blob).equals(attempt.blob))) return "reject";
  if (attempt.proof === "none") return "accept-key";
  return attempt.proof === "valid" ? "accept" : "reject";
}

/** Of equal length, whatever the password's. */
function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
