/** What was pressed, as far as the menu knows it. */
export type Key =
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind:
        | "up"
        | "down"
        | "page-up"
        | "page-down"
        | "first"
        | "last"
        | "enter"
        | "erase"
        | "clear"
        | "redraw"
        | "end"
        | "leave";
    };

/** Bytes of one escape sequence; a longer one is dropped as it comes. */
const maxSequenceBytes = 16;

/** Control characters by their number. */
const controls: ReadonlyMap<number, Key> = new Map<number, Key>([
  [0x01, { kind: "first" }],
  [0x03, { kind: "leave" }],
  [0x04, { kind: "end" }],
  [0x05, { kind: "last" }],
  [0x08, { kind: "erase" }],
  [0x0a, { kind: "enter" }],
  [0x0c, { kind: "redraw" }],
  [0x0d, { kind: "enter" }],
  [0x0e, { kind: "down" }],
  [0x10, { kind: "up" }],
  [0x15, { kind: "clear" }],
  [0x7f, { kind: "erase" }],
]);

/** What terminals send for keys, after ESC. */
const sequences: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["A", { kind: "up" }],
  ["B", { kind: "down" }],
  ["H", { kind: "first" }],
  ["F", { kind: "last" }],
  ["1~", { kind: "first" }],
  ["7~", { kind: "first" }],
  ["4~", { kind: "last" }],
  ["8~", { kind: "last" }],
  ["5~", { kind: "page-up" }],
  ["6~", { kind: "page-down" }],
]);

type State =
  | { readonly kind: "ground" }
  /** ESC was the last that came: the key of that name, or the beginning of a sequence. */
  | { readonly kind: "escape" }
  | { readonly kind: "sequence"; readonly text: string; readonly length: number }
  /** A character of several bytes. */
  | { readonly kind: "character"; readonly bytes: readonly number[]; readonly missing: number };

const ground: State = { kind: "ground" };

/** Bytes of a terminal as keys, however they are cut (UTF-8; ECMA-48, section 5.4, for sequences). */
export class KeyReader {
  #state: State = ground;

  /** ESC has come, and whether anything belongs to it is not known: ask `idle` when nothing has followed for a moment. */
  get pending(): boolean {
    return this.#state.kind === "escape";
  }

  /** Nothing followed. */
  idle(): Key | undefined {
    if (!this.pending) return undefined;
    this.#state = ground;
    return { kind: "leave" };
  }

  next(byte: number): Key | undefined {
    const state = this.#state;
    switch (state.kind) {
      case "ground":
        return this.#plain(byte);
      case "escape":
        return this.#escaped(byte);
      case "sequence":
        return this.#sequence(state, byte);
      case "character":
        return this.#character(state, byte);
    }
  }

  #plain(byte: number): Key | undefined {
    if (byte === 0x1b) {
      this.#state = { kind: "escape" };
      return undefined;
    }
    if (byte < 0x20 || byte === 0x7f) return controls.get(byte);
    if (byte < 0x80) return { kind: "text", text: String.fromCharCode(byte) };
    const missing = byte >= 0xf0 && byte <= 0xf4 ? 3 : byte >= 0xe0 ? 2 : 1;
    // No character begins with these.
    if (byte < 0xc2 || byte > 0xf4) return undefined;
    this.#state = { kind: "character", bytes: [byte], missing };
    return undefined;
  }

  #escaped(byte: number): Key | undefined {
    if (byte === 0x5b || byte === 0x4f) {
      this.#state = { kind: "sequence", text: "", length: 0 };
      return undefined;
    }
    if (byte === 0x1b) return { kind: "leave" };
    // Alt and a key: not ours.
    this.#state = ground;
    return undefined;
  }

  #sequence({ text, length }: State & { kind: "sequence" }, byte: number): Key | undefined {
    if (byte >= 0x40 && byte <= 0x7e) {
      this.#state = ground;
      return length > maxSequenceBytes ? undefined : sequences.get(text + String.fromCharCode(byte));
    }
    if (byte < 0x20 || byte > 0x7e) {
      // Broken off: the byte begins something new.
      this.#state = ground;
      return this.#plain(byte);
    }
    const longer = length < maxSequenceBytes ? text + String.fromCharCode(byte) : text;
    this.#state = { kind: "sequence", text: longer, length: length + 1 };
    return undefined;
  }

  #character({ bytes, missing }: State & { kind: "character" }, byte: number): Key | undefined {
    if ((byte & 0xc0) !== 0x80) {
      this.#state = ground;
      return this.#plain(byte);
    }
    const all = [...bytes, byte];
    if (missing > 1) {
      this.#state = { kind: "character", bytes: all, missing: missing - 1 };
      return undefined;
    }
    this.#state = ground;
    const text = Buffer.from(all).toString("utf8");
    return text === "\ufffd" || Array.from(text).length !== 1 ? undefined : { kind: "text", text };
  }
}
