import { timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

const redacted = "[secret]";

/**
 * Bytes that must never be shown: they print as `[secret]` wherever a value is printed, logged or turned into JSON. Only
 * `reveal()` and `text()` give them out, so a search for those two finds every use.
 */
export class Secret {
  #bytes: Uint8Array;
  #wiped = false;

  /** Copies the value; text is taken as UTF-8. */
  constructor(value: string | Uint8Array) {
    this.#bytes = typeof value === "string" ? Buffer.from(value, "utf8") : Uint8Array.from(value);
  }

  /** The bytes themselves, not a copy: do not change them, and keep them no longer than the use. */
  reveal(): Uint8Array {
    // A wiped secret is all zeroes; to use it would be to log in with zeroes.
    if (this.#wiped) throw new Error("a secret was used after it was wiped");
    return this.#bytes;
  }

  /** The bytes as UTF-8 text. The string cannot be wiped: prefer `reveal()`. */
  text(): string {
    return Buffer.from(this.reveal()).toString("utf8");
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  /** Compares in a time that depends only on the lengths. */
  equals(other: Secret | Uint8Array): boolean {
    const mine = this.reveal();
    const theirs = other instanceof Secret ? other.reveal() : other;
    return mine.length === theirs.length && timingSafeEqual(mine, theirs);
  }

  /** Overwrites the bytes with zeroes. Harmless when repeated. */
  wipe(): void {
    this.#bytes.fill(0);
    this.#wiped = true;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  static {
    // Not a method: isolated declarations want names that need no import to be known.
    Object.defineProperty(Secret.prototype, inspect.custom, { value: () => redacted });
  }
}
