/**
 * What RFC 4254 puts behind the common fields of a global request, a channel open or a channel request: the `data` of
 * GlobalRequest, ChannelOpen and ChannelRequest. Each has a type and a pair of codecs; requests without data ("shell",
 * "keepalive@openssh.com") need none.
 */
import { Reader, Writer } from "#ssh/wire";

/** "pty-req" (section 6.2). Sizes in characters and in pixels; `modes` are encoded terminal modes (section 8). */
export interface PtyRequest {
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly modes: Uint8Array;
}

export function encodePtyRequest(request: PtyRequest): Uint8Array {
  return new Writer()
    .string(request.term)
    .u32(request.columns)
    .u32(request.rows)
    .u32(request.widthPixels)
    .u32(request.heightPixels)
    .string(request.modes)
    .bytes();
}

export function decodePtyRequest(data: Uint8Array): PtyRequest {
  const reader = new Reader(data);
  const request = {
    term: reader.text(),
    columns: reader.u32(),
    rows: reader.u32(),
    widthPixels: reader.u32(),
    heightPixels: reader.u32(),
    modes: Uint8Array.from(reader.string()),
  };
  reader.expectEnd();
  return request;
}

/** Opcodes from here on have no agreed argument: reading stops there (section 8). */
const firstOpaqueMode = 160;

/** Terminal modes (section 8): opcode to value. Ends at TTY_OP_END, at the end of the bytes or at an opcode of 160 and above. */
export function decodeTerminalModes(modes: Uint8Array): Map<number, number> {
  const reader = new Reader(modes);
  const values = new Map<number, number>();
  while (reader.left > 0) {
    const opcode = reader.u8();
    if (opcode === 0 || opcode >= firstOpaqueMode) break;
    values.set(opcode, reader.u32());
  }
  return values;
}

export function encodeTerminalModes(modes: ReadonlyMap<number, number>): Uint8Array {
  const writer = new Writer();
  for (const [opcode, value] of modes) writer.u8(opcode).u32(value);
  return writer.u8(0).bytes();
}

/** "env" (section 6.4). The value is bytes: environments know no character set. */
export interface EnvRequest {
  readonly name: string;
  readonly value: Uint8Array;
}

export function encodeEnvRequest(request: EnvRequest): Uint8Array {
  return new Writer().string(request.name).string(request.value).bytes();
}

export function decodeEnvRequest(data: Uint8Array): EnvRequest {
  const reader = new Reader(data);
  const request = { name: reader.text(), value: Uint8Array.from(reader.string()) };
  reader.expectEnd();
  return request;
}

/** "exec" (section 6.5): the command line, as bytes. */
export function encodeExecRequest(command: Uint8Array | string): Uint8Array {
  return new Writer().string(command).bytes();
}

export function decodeExecRequest(data: Uint8Array): Uint8Array {
  return Uint8Array.from(onlyString(data));
}

/** "subsystem" (section 6.5): its name. */
export function encodeSubsystemRequest(name: string): Uint8Array {
  return new Writer().string(name).bytes();
}

export function decodeSubsystemRequest(data: Uint8Array): string {
  return onlyText(data);
}

/** "window-change" (section 6.7). */
export interface WindowChange {
  readonly columns: number;
  readonly rows: number;
  readonly widthPixels: number;
  readonly heightPixels: number;
}

export function encodeWindowChange(change: WindowChange): Uint8Array {
  return new Writer(16)
    .u32(change.columns)
    .u32(change.rows)
    .u32(change.widthPixels)
    .u32(change.heightPixels)
    .bytes();
}

export function decodeWindowChange(data: Uint8Array): WindowChange {
  const reader = new Reader(data);
  const change = {
    columns: reader.u32(),
    rows: reader.u32(),
    widthPixels: reader.u32(),
    heightPixels: reader.u32(),
  };
  reader.expectEnd();
  return change;
}

/** "xon-xoff" (section 6.8): whether the client may stop output itself. */
export function encodeFlowControl(clientCanDo: boolean): Uint8Array {
  return new Writer(1).bool(clientCanDo).bytes();
}

export function decodeFlowControl(data: Uint8Array): boolean {
  const reader = new Reader(data);
  const clientCanDo = reader.bool();
  reader.expectEnd();
  return clientCanDo;
}

/** "signal" (section 6.9): a name without SIG, as "TERM". */
export function encodeSignalRequest(signal: string): Uint8Array {
  return new Writer().string(signal).bytes();
}

export function decodeSignalRequest(data: Uint8Array): string {
  const reader = new Reader(data);
  const signal = reader.ascii();
  reader.expectEnd();
  return signal;
}

/** "exit-status" (section 6.10). */
export function encodeExitStatus(status: number): Uint8Array {
  return new Writer(4).u32(status).bytes();
}

export function decodeExitStatus(data: Uint8Array): number {
  return onlyU32(data);
}

/** "exit-signal" (section 6.10). */
export interface ExitSignal {
  readonly signal: string;
  readonly coreDumped: boolean;
  readonly message: string;
}

export function encodeExitSignal(exit: ExitSignal): Uint8Array {
  return new Writer().string(exit.signal).bool(exit.coreDumped).string(exit.message).string("").bytes();
}

export function decodeExitSignal(data: Uint8Array): ExitSignal {
  const reader = new Reader(data);
  const exit = { signal: reader.ascii(), coreDumped: reader.bool(), message: reader.text() };
  reader.string(); // language tag
  reader.expectEnd();
  return exit;
}

/** "break" (RFC 4335, section 3): its length in milliseconds. */
export function encodeBreakRequest(lengthMs: number): Uint8Array {
  return new Writer(4).u32(lengthMs).bytes();
}

export function decodeBreakRequest(data: Uint8Array): number {
  return onlyU32(data);
}

/** "x11-req" (section 6.3.1). `cookie` is hexadecimal text. */
export interface X11Request {
  readonly singleConnection: boolean;
  readonly protocol: string;
  readonly cookie: string;
  readonly screen: number;
}

export function encodeX11Request(request: X11Request): Uint8Array {
  return new Writer()
    .bool(request.singleConnection)
    .string(request.protocol)
    .string(request.cookie)
    .u32(request.screen)
    .bytes();
}

export function decodeX11Request(data: Uint8Array): X11Request {
  const reader = new Reader(data);
  const request = {
    singleConnection: reader.bool(),
    protocol: reader.text(),
    cookie: reader.text(),
    screen: reader.u32(),
  };
  reader.expectEnd();
  return request;
}

/** An address and a port: "tcpip-forward" and "cancel-tcpip-forward" (section 7.1), "x11" channels (section 6.3.2). */
export interface AddressAndPort {
  readonly address: string;
  readonly port: number;
}

export function encodeAddressAndPort(place: AddressAndPort): Uint8Array {
  return new Writer().string(place.address).u32(place.port).bytes();
}

export function decodeAddressAndPort(data: Uint8Array): AddressAndPort {
  const reader = new Reader(data);
  const place = { address: reader.text(), port: reader.u32() };
  reader.expectEnd();
  return place;
}

/** The answer to a "tcpip-forward" for port 0 (section 7.1): the port that was bound. */
export function encodeBoundPort(port: number): Uint8Array {
  return new Writer(4).u32(port).bytes();
}

export function decodeBoundPort(data: Uint8Array): number {
  return onlyU32(data);
}

/**
 * "direct-tcpip" and "forwarded-tcpip" channels (section 7.2). For the first, `host` and `port` are where to connect to; for the
 * second, what was bound by "tcpip-forward".
 */
export interface TcpipChannel {
  readonly host: string;
  readonly port: number;
  readonly originAddress: string;
  readonly originPort: number;
}

export function encodeTcpipChannel(channel: TcpipChannel): Uint8Array {
  return new Writer()
    .string(channel.host)
    .u32(channel.port)
    .string(channel.originAddress)
    .u32(channel.originPort)
    .bytes();
}

export function decodeTcpipChannel(data: Uint8Array): TcpipChannel {
  const reader = new Reader(data);
  const channel = {
    host: reader.text(),
    port: reader.u32(),
    originAddress: reader.text(),
    originPort: reader.u32(),
  };
  reader.expectEnd();
  return channel;
}

function onlyString(data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const value = reader.string();
  reader.expectEnd();
  return value;
}

function onlyText(data: Uint8Array): string {
  const reader = new Reader(data);
  const value = reader.text();
  reader.expectEnd();
  return value;
}

function onlyU32(data: Uint8Array): number {
  const reader = new Reader(data);
  const value = reader.u32();
  reader.expectEnd();
  return value;
}
