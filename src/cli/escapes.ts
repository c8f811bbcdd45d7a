/** What a line that begins with the escape character may ask for, as with ssh(1). */
export type EscapeStep =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "end" }
  | { readonly kind: "help" };

const tilde = 0x7e;
const dot = 0x2e;
const question = 0x3f;
const isLineEnd = (byte: number): boolean => byte === 0x0d || byte === 0x0a;

/** Watches what is typed for `~.` and its like at the beginning of a line; all else passes. */
export class EscapeWatch {
  #lineStart = true;
  #escaped = false;

  take(chunk: Uint8Array): EscapeStep[] {
    const steps: EscapeStep[] = [];
    let out: number[] = [];
    const flush = (): void => {
      if (out.length > 0) steps.push({ kind: "data", bytes: Uint8Array.from(out) });
      out = [];
    };
    for (const byte of chunk) {
      if (this.#escaped) {
        this.#escaped = false;
        if (byte === dot) {
          flush();
          steps.push({ kind: "end" });
          return steps;
        }
        if (byte === question) {
          flush();
          steps.push({ kind: "help" });
          this.#lineStart = true;
          continue;
        }
        // Twice the character is once; anything else was no escape.
        if (byte !== tilde) out.push(tilde);
      } else if (byte === tilde && this.#lineStart) {
        this.#escaped = true;
        continue;
      }
      out.push(byte);
      this.#lineStart = isLineEnd(byte);
    }
    flush();
    return steps;
  }
}

export const escapeHelp: string =
  "~.  ends the connection\r\n~?  this list\r\n~~  a single ~\r\n(only at the beginning of a line)\r\n";
