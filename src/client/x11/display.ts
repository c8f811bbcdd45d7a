import { formatHostPort } from "#base";
import type { Place } from "../forward/spec.ts";

/** An X display of this machine's user: what DISPLAY names. */
export interface Display {
  /** As given. */
  readonly name: string;
  readonly place: Place;
  readonly screen: number;
}

/** Where displays have their sockets. */
const socketFolder = "/tmp/.X11-unix";
/** The port of display 0. */
const firstPort = 6000;
/** As high as a port can be. */
const maxDisplay = 65_535 - firstPort;

/** Reads `:0`, `unix:0.1`, `host:10.0`, `[::1]:10`, or a socket's path as some systems have it. Undefined for what names no display. */
export function parseDisplay(name: string): Display | undefined {
  // It goes on a command line.
  if (!/^[A-Za-z0-9:/._[\]-]{1,255}$/.test(name) || name.startsWith("-")) return undefined;
  const [, host = "", numberText = "", screenText = "0"] =
    /^(.*):(\d{1,5})(?:\.(\d{1,5}))?$/.exec(name) ?? [];
  if (numberText === "") return undefined;
  const [number, screen] = [Number(numberText), Number(screenText)];
  if (number > maxDisplay) return undefined;
  if (host.startsWith("/")) return { name, place: { kind: "unix", path: `${host}:${numberText}` }, screen };
  if (host === "" || host === "unix")
    return { name, place: { kind: "unix", path: `${socketFolder}/X${number}` }, screen };
  const bare = /^\[(.+)\]$/.exec(host)?.[1] ?? host;
  if (/[/[\]]/.test(bare)) return undefined;
  return { name, place: { kind: "tcp", host: bare, port: firstPort + number }, screen };
}

/** Under which name xauth(1) has the display: those that were forwarded are kept as local ones. */
export function xauthName({ name }: Display): string {
  return name.replace(/^localhost:/, "unix:");
}

/** For people. */
export function displayPlace({ place }: Display): string {
  return place.kind === "unix" ? place.path : formatHostPort(place);
}
