import type { Socket } from "node:net";
import type { Channel, ChannelOffer } from "#ssh/connection";
import { encodeX11Request, OPEN_FAILURE } from "#ssh/messages";
import { PosternError } from "#base";
import { clientErrors } from "../errors.ts";
import { dialTcp, dialUnix } from "../dial.ts";
import { join } from "../forward/join.ts";
import { fakeCookie, realCookie, type X11Cookie } from "./cookie.ts";
import { type Display, parseDisplay } from "./display.ts";
import { FirstWords } from "./first-words.ts";

export interface X11Options {
  /** As DISPLAY has it: `:0`, `host:10.0`. */
  readonly display: string;
  /**
   * False, the default: programs there get a cookie with which the X server lets them do less (its SECURITY extension). True: they may
   * watch and steer all that is on the display.
   */
  readonly trusted?: boolean;
  /** Milliseconds after which untrusted programs get no new connection; 0 is for ever. Default 20 minutes, as ssh(1). */
  readonly timeoutMs?: number;
  /** The program xauth(1). Default: found by PATH. */
  readonly xauth?: string;
}

const defaultTimeoutMs = 20 * 60_000;
const dialMs = 30_000;

/** Lets programs on the server draw here. They are told a cookie that is good for nothing but this connection. */
export class X11Forwarding {
  readonly #display: Display;
  readonly #fake: X11Cookie;
  readonly #real: X11Cookie | undefined;
  /** On the clock of `performance`; undefined: never. */
  readonly #until: number | undefined;

  private constructor(display: Display, real: X11Cookie | undefined, lastsMs: number) {
    this.#display = display;
    this.#real = real;
    this.#fake = fakeCookie(real);
    this.#until = lastsMs === 0 ? undefined : performance.now() + lastsMs;
  }

  /** Throws OPERATOR_CLIENT_X11. */
  static async open(options: X11Options): Promise<X11Forwarding> {
    const { trusted = false, timeoutMs = defaultTimeoutMs, xauth = "xauth" } = options;
    const display = parseDisplay(options.display);
    if (display === undefined)
      throw new clientErrors.OPERATOR_CLIENT_X11(
        `No X11 forwarding: "${options.display.slice(0, 100)}" is no display; DISPLAY is written as :0 or host:10.0.`,
      );
    const real = await realCookie(display, { xauth, trusted, timeoutMs });
    return new X11Forwarding(display, real, trusted ? 0 : timeoutMs);
  }

  /** What is asked of the server (RFC 4254, section 6.3.1). */
  get request(): Uint8Array {
    return encodeX11Request({
      singleConnection: false,
      protocol: this.#fake.protocol,
      cookie: Buffer.from(this.#fake.data.reveal()).toString("hex"),
      screen: this.#display.screen,
    });
  }

  /** Joins a connection of a program there with the display, once it has shown the cookie. Throws PEER_X11_REFUSED. */
  async take(offer: ChannelOffer): Promise<void> {
    if (this.#until !== undefined && performance.now() > this.#until) {
      offer.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "the time for untrusted programs is over");
      throw new clientErrors.PEER_X11_REFUSED("the time for untrusted programs is over: ForwardX11Timeout");
    }
    let socket: Socket;
    try {
      socket = await this.#dial();
    } catch (error) {
      offer.refuse(OPEN_FAILURE.CONNECT_FAILED, "the display cannot be reached");
      throw error;
    }
    const channel = offer.accept();
    try {
      await this.#checked(channel);
    } catch (error) {
      channel.destroy();
      socket.destroy();
      if (!(error instanceof PosternError)) return;
      throw error;
    }
    await join(channel, socket);
  }

  #dial(): Promise<Socket> {
    const { place } = this.#display;
    if (place.kind === "unix") return dialUnix(place.path, { timeoutMs: dialMs });
    return dialTcp({ host: place.host, port: place.port }, { timeoutMs: dialMs });
  }

  /** Reads the first words; what goes to the display instead of them is put back. */
  #checked(channel: Channel): Promise<void> {
    const words = new FirstWords(this.#fake, this.#real);
    const checked = Promise.withResolvers<void>();
    const read = (): void => {
      try {
        for (
          let chunk = channel.read() as Buffer | null;
          chunk !== null;
          chunk = channel.read() as Buffer | null
        ) {
          const whole = words.receive(chunk);
          if (whole === undefined) continue;
          channel.off("readable", read);
          channel.unshift(whole);
          checked.resolve();
          return;
        }
      } catch (error) {
        checked.reject(error);
      }
    };
    channel.on("readable", read);
    const ended = (): void => checked.reject(new Error("it ended before it said anything"));
    channel.once("end", ended);
    channel.once("close", ended);
    return checked.promise.finally(() => {
      channel.off("readable", read);
      channel.off("end", ended);
      channel.off("close", ended);
    });
  }
}
