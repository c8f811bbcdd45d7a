import { PosternError } from "#base";
import {
  decodeAddressAndPort,
  decodeDirectStreamlocal,
  decodeEnvRequest,
  decodeExecRequest,
  decodeForwardedStreamlocal,
  decodePtyRequest,
  decodeStreamlocalForward,
  decodeSubsystemRequest,
  decodeTcpipChannel,
  decodeTunnelChannel,
} from "#ssh/messages";

/** What one request or channel asks for, as far as a policy or an audit cares. */
export type Asked =
  | { readonly kind: "session" | "shell" | "x11" | "agent" | "routine" | "other" | "malformed" }
  | { readonly kind: "exec"; readonly command: string; readonly bytes: Uint8Array }
  | { readonly kind: "subsystem"; readonly name: string }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "pty"; readonly term: string }
  | { readonly kind: "forward-local" | "forward-remote"; readonly host: string; readonly port: number }
  | { readonly kind: "forward-local" | "forward-remote"; readonly path: string }
  | { readonly kind: "tunnel"; readonly unit: number };

type Readers = ReadonlyMap<string, (data: Uint8Array) => Asked>;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");
const plain =
  (kind: (Asked & { readonly kind: "session" | "shell" | "x11" | "agent" | "routine" })["kind"]) =>
  (): Asked => ({ kind });

/**
 * Of a client on a session channel (RFC 4254, section 6; PROTOCOL of OpenSSH). Routine: what says something about a program that
 * runs already.
 */
const channelRequests: Readers = new Map<string, (data: Uint8Array) => Asked>([
  ["shell", plain("shell")],
  [
    "exec",
    (data) => {
      const bytes = decodeExecRequest(data);
      return { kind: "exec", command: text(bytes), bytes };
    },
  ],
  ["subsystem", (data) => ({ kind: "subsystem", name: decodeSubsystemRequest(data) })],
  ["env", (data) => ({ kind: "env", name: decodeEnvRequest(data).name })],
  ["pty-req", (data) => ({ kind: "pty", term: decodePtyRequest(data).term })],
  ["x11-req", plain("x11")],
  ["auth-agent-req@openssh.com", plain("agent")],
  ["agent-req", plain("agent")],
  ...["window-change", "signal", "break", "xon-xoff", "eow@openssh.com", "keepalive@openssh.com"].map(
    (type) => [type, plain("routine")] as const,
  ),
]);

/** Of a client. */
const globalRequests: Readers = new Map<string, (data: Uint8Array) => Asked>([
  [
    "tcpip-forward",
    (data) => {
      const { address, port } = decodeAddressAndPort(data);
      return { kind: "forward-remote", host: address, port };
    },
  ],
  [
    "streamlocal-forward@openssh.com",
    (data) => ({ kind: "forward-remote", path: text(decodeStreamlocalForward(data)) }),
  ],
  ...[
    "cancel-tcpip-forward",
    "cancel-streamlocal-forward@openssh.com",
    "keepalive@openssh.com",
    "no-more-sessions@openssh.com",
    // These end in the pipe, which answers for its own keys.
    "hostkeys-prove-00@openssh.com",
  ].map((type) => [type, plain("routine")] as const),
]);

const clientChannels: Readers = new Map<string, (data: Uint8Array) => Asked>([
  ["session", plain("session")],
  [
    "direct-tcpip",
    (data) => {
      const { host, port } = decodeTcpipChannel(data);
      return { kind: "forward-local", host, port };
    },
  ],
  [
    "direct-streamlocal@openssh.com",
    (data) => ({ kind: "forward-local", path: text(decodeDirectStreamlocal(data)) }),
  ],
  ["tun@openssh.com", (data) => ({ kind: "tunnel", unit: decodeTunnelChannel(data).unit })],
]);

const upstreamChannels: Readers = new Map<string, (data: Uint8Array) => Asked>([
  [
    "forwarded-tcpip",
    (data) => {
      const { host, port } = decodeTcpipChannel(data);
      return { kind: "forward-remote", host, port };
    },
  ],
  [
    "forwarded-streamlocal@openssh.com",
    (data) => ({ kind: "forward-remote", path: text(decodeForwardedStreamlocal(data)) }),
  ],
  ["x11", plain("x11")],
  ["auth-agent@openssh.com", plain("agent")],
  ["agent-connect", plain("agent")],
]);

type Table = "channelRequests" | "globalRequests" | "clientChannels" | "upstreamChannels";

const tables: Readonly<Record<Table, Readers>> = {
  channelRequests,
  globalRequests,
  clientChannels,
  upstreamChannels,
};

/** What a message of a type asks for. Never throws: what cannot be read is `malformed`. */
export function askedBy(table: Table, type: string, data: Uint8Array): Asked {
  const read = tables[table].get(type);
  if (read === undefined) return { kind: "other" };
  try {
    return read(data);
  } catch (error) {
    if (error instanceof PosternError) return { kind: "malformed" };
    throw error;
  }
}
