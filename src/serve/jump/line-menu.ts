import type { ListedTarget, Menu, MenuOutcome, MenuStep } from "#contract";
import { type Key, KeyReader } from "./keys.ts";
import { detailsOf } from "./list.ts";
import { chosenBy, filtered, maxFilterChars } from "./menu.ts";
import { columnsOf, printable } from "./width.ts";

const prompt = "Number or name: ";

/** The menu for a terminal that knows nothing but lines: a numbered list, and a line to type in. */
export class LineMenu implements Menu {
  readonly #targets: readonly ListedTarget[];
  readonly #keys = new KeyReader();
  #shown: readonly ListedTarget[];
  #typed = "";

  constructor(targets: readonly ListedTarget[]) {
    this.#targets = targets;
    this.#shown = targets;
  }

  get pending(): boolean {
    return this.#keys.pending;
  }

  open(): string {
    return `${this.#list()}${prompt}`;
  }

  close(): string {
    return "\r\n";
  }

  resize(): string {
    return "";
  }

  feed(bytes: Uint8Array): MenuStep {
    let output = "";
    for (const [at, byte] of bytes.entries()) {
      const key = this.#keys.next(byte);
      if (key === undefined) continue;
      const step = this.#press(key);
      if (typeof step !== "string") return { output, outcome: step, taken: at + 1 };
      output += step;
    }
    return { output, taken: bytes.length };
  }

  idle(): MenuStep {
    return this.#keys.idle() === undefined
      ? { output: "", taken: 0 }
      : { output: "", taken: 0, outcome: { kind: "left" } };
  }

  notice(text: string): string {
    return `\r\n${printable(text)}\r\n${prompt}${this.#typed}`;
  }

  #press(key: Key): MenuOutcome | string {
    switch (key.kind) {
      case "text": {
        const more = printable(key.text);
        if (Array.from(this.#typed).length >= maxFilterChars) return "";
        this.#typed += more;
        return more;
      }
      case "erase":
        return this.#erase(1);
      case "clear":
        return this.#erase(Array.from(this.#typed).length);
      case "redraw":
        return `\r\n${this.#list()}${prompt}${this.#typed}`;
      case "enter":
        return this.#enter();
      case "leave":
        return { kind: "left" };
      case "end":
        return this.#typed === "" ? { kind: "left" } : "";
      default:
        return "";
    }
  }

  #erase(characters: number): string {
    const typed = Array.from(this.#typed);
    const gone = typed.splice(Math.max(0, typed.length - characters)).join("");
    this.#typed = typed.join("");
    return "\b \b".repeat(columnsOf(gone));
  }

  /** A number, or what fits one target alone; else the list is narrowed. */
  #enter(): MenuOutcome | string {
    const typed = this.#typed.trim();
    const numbered = /^[0-9]{1,6}$/.test(typed) ? this.#shown[Number(typed) - 1] : undefined;
    const named = this.#targets.find(({ name }) => name === typed);
    const fitting = filtered(this.#targets, typed);
    const only = typed !== "" && fitting.length === 1 ? fitting[0] : undefined;
    const outcome = chosenBy(named ?? numbered ?? only, typed);
    if (outcome !== undefined) return outcome;
    this.#shown = fitting;
    this.#typed = "";
    return `\r\n${this.#list()}${prompt}`;
  }

  #list(): string {
    if (this.#shown.length === 0) return "Nothing like that.\r\n";
    const digits = String(this.#shown.length).length;
    return this.#shown
      .map((target, at) => {
        const text = `${target.name}  ${printable(detailsOf(target))}`.trimEnd();
        return `${String(at + 1).padStart(digits)}  ${text}\r\n`;
      })
      .join("");
  }
}
