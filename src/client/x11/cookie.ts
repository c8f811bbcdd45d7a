import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "#base";
import { clientErrors } from "../errors.ts";
import { type Display, xauthName } from "./display.ts";

export interface X11Cookie {
  /** As MIT-MAGIC-COOKIE-1. */
  readonly protocol: string;
  readonly data: Secret;
}

export interface CookieOptions {
  /** The program xauth(1). */
  readonly xauth: string;
  /** False: a cookie made for this alone, with which the X server lets a program do less. */
  readonly trusted: boolean;
  /** Milliseconds that an untrusted one is good for; 0 is for ever. */
  readonly timeoutMs: number;
}

const magicCookie = "MIT-MAGIC-COOKIE-1";
const cookieBytes = 16;
const maxCookieBytes = 256;
/** xauth(1) asks the X server, which may be at the other end of a network. */
const xauthMs = 20_000;
/** The X server's time begins before ours. */
const slackSeconds = 60;

/**
 * The cookie by which the X server knows us. Undefined when xauth(1) knows none for the display: many servers ask for none.
 *
 * Throws OPERATOR_CLIENT_X11 when an untrusted one cannot be had: nothing else would keep what is untrusted apart.
 */
export async function realCookie(display: Display, options: CookieOptions): Promise<X11Cookie | undefined> {
  const name = xauthName(display);
  if (options.trusted) {
    const listed = await xauth(options.xauth, ["list", name]).catch(() => "");
    return parseXauthList(listed);
  }
  const folder = await mkdtemp(join(tmpdir(), "postern-x11-"));
  try {
    const file = join(folder, "xauthority");
    const seconds = Math.round(options.timeoutMs / 1000) + slackSeconds;
    const until = options.timeoutMs === 0 ? [] : ["timeout", String(seconds)];
    await xauth(options.xauth, ["-f", file, "generate", name, magicCookie, "untrusted", ...until]);
    const cookie = parseXauthList(await xauth(options.xauth, ["-f", file, "list", name]));
    if (cookie !== undefined) return cookie;
  } catch (cause) {
    throw noUntrusted(display, cause);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  throw noUntrusted(display, undefined);
}

/** Of the same kind and length, and worth nothing to whoever sees it: what the server is told. */
export function fakeCookie(real: X11Cookie | undefined): X11Cookie {
  const bytes = real?.data.byteLength ?? cookieBytes;
  return { protocol: real?.protocol ?? magicCookie, data: new Secret(randomBytes(bytes)) };
}

/** Reads the first line that xauth(1) lists: display, protocol, cookie in hexadecimal. Undefined for anything else. */
export function parseXauthList(text: string): X11Cookie | undefined {
  const [, protocol, hex = ""] = /^\S+\s+([A-Za-z0-9-]{1,64})\s+([0-9a-fA-F]+)\s*$/m.exec(text) ?? [];
  if (protocol === undefined || hex.length % 2 !== 0 || hex.length > maxCookieBytes * 2) return undefined;
  return { protocol, data: new Secret(Buffer.from(hex, "hex")) };
}

function xauth(program: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...words], { timeout: xauthMs, maxBuffer: 1024 * 1024 }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}

function noUntrusted({ name }: Display, cause: unknown): Error {
  const why =
    (cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT"
      ? "the program xauth is not there; install it"
      : `the X server of ${name} gives out no cookie for untrusted programs`;
  return new clientErrors.OPERATOR_CLIENT_X11(
    `No X11 forwarding: ${why}. With -Y (ForwardX11Trusted yes) programs there may do all that those here may.`,
    { cause },
  );
}
