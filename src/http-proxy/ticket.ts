import { createHmac, timingSafeEqual } from "node:crypto";
import type { WebProof } from "#contract";

/** Names of all our cookies begin so. Browsers send it to the very host that gave it, never to another one, only in TLS, and no script reads it. */
export const cookieName = "__Host-postern";

/** More than this we never made. */
const maxTicketChars = 2048;

/** What a login is good for: one device, at its host, for a while. */
export interface Ticket {
  readonly host: string;
  /** Its id: another device may have the name tomorrow. */
  readonly device: string;
  readonly proof: WebProof;
  readonly untilMs: number;
}

/** As it stands in a cookie: what it says, and a proof by HMAC-SHA-256 that we said it. */
export function signTicket({ host, device, proof, untilMs }: Ticket, key: Uint8Array): string {
  const said = Buffer.from(JSON.stringify([host, device, proof.user, proof.rules, untilMs])).toString(
    "base64url",
  );
  return `${said}.${macOf(said, key).toString("base64url")}`;
}

/** Undefined: we never said that, it is for another device or host, or its time is over. */
export function readTicket(
  text: string,
  key: Uint8Array,
  { host, device, nowMs }: { readonly host: string; readonly device: string; readonly nowMs: number },
): WebProof | undefined {
  if (text.length > maxTicketChars) return undefined;
  const [, said = "", mac = ""] = /^([\w-]+)\.([\w-]+)$/.exec(text) ?? [];
  const shown = Buffer.from(mac, "base64url");
  const right = macOf(said, key);
  if (shown.length !== right.length || !timingSafeEqual(shown, right)) return undefined;
  // Only we can have written it.
  const [forHost, forDevice, user, rules, untilMs] = JSON.parse(
    Buffer.from(said, "base64url").toString("utf8"),
  ) as [string, string, string, readonly string[], number];
  if (forHost !== host || forDevice !== device || nowMs >= untilMs) return undefined;
  return { user, rules };
}

function macOf(said: string, key: Uint8Array): Buffer {
  return createHmac("sha256", key).update(`postern web ticket 1\n${said}`).digest();
}

export function setCookie(ticket: string, lifeSeconds: number): string {
  return `${cookieName}=${ticket}; Path=/; Max-Age=${Math.floor(lifeSeconds)}; Secure; HttpOnly; SameSite=Lax`;
}

export const clearCookie: string = setCookie("", 0);
