/** Characters in one line; more are answered by the bell. */
export const maxLineCharacters = 1024;

const bell = "\u0007";
const clearToEnd = "\u001b[K";
const clearScreen = "\u001b[2J\u001b[H";

export interface LineEditorOptions {
  /** Shows text on the terminal. */
  readonly show: (text: string) => void;
  /** A line was finished; without its end. */
  readonly line: (text: string) => void;
  /** Ctrl-C. */
  readonly interrupt: () => void;
  /** Ctrl-D on an empty line. */
  readonly end: () => void;
  /** False: what is typed is not shown. */
  readonly echo: boolean;
}

/** As much of a terminal's line editing as a person needs to try a shell: echo, backspace, Ctrl-C, -D, -L, -U. */
export class LineEditor {
  /** Shown before the line when it is drawn anew. */
  prompt = "";
  readonly #options: LineEditorOptions;
  readonly #decoder = new TextDecoder("utf-8");
  #characters: string[] = [];
  /** Where in an escape sequence we are: those of arrow keys and the like are swallowed. */
  #escape: "none" | "begun" | "inside" = "none";
  #afterReturn = false;

  constructor(options: LineEditorOptions) {
    this.#options = options;
  }

  /** Takes bytes as typed. */
  feed(bytes: Uint8Array): void {
    for (const character of this.#decoder.decode(bytes, { stream: true })) this.#take(character);
  }

  #take(character: string): void {
    if (this.#escape !== "none") {
      this.#takeEscape(character);
      return;
    }
    const afterReturn = this.#afterReturn;
    this.#afterReturn = character === "\r";
    switch (character) {
      case "\r":
        this.#finish();
        return;
      case "\n":
        if (!afterReturn) this.#finish();
        return;
      case "\b":
      case "\u007f":
        this.#erase();
        return;
      case "\u0003":
        this.#characters = [];
        this.#show("^C\n");
        this.#options.interrupt();
        return;
      case "\u0004":
        if (this.#characters.length === 0) this.#options.end();
        return;
      case "\u000c":
        this.#show(clearScreen);
        this.#redraw();
        return;
      case "\u0015":
        this.#characters = [];
        this.#redraw();
        return;
      case "\u001b":
        this.#escape = "begun";
        return;
      default:
        this.#append(character);
    }
  }

  /** CSI and SS3 sequences run to a final byte; any other is one character long. */
  #takeEscape(character: string): void {
    if (this.#escape === "begun") {
      this.#escape = character === "[" || character === "O" ? "inside" : "none";
    } else if (character >= "@" && character <= "~") this.#escape = "none";
  }

  #append(character: string): void {
    if (character < " ") return;
    if (this.#characters.length >= maxLineCharacters) {
      this.#show(bell);
      return;
    }
    this.#characters.push(character);
    this.#show(character);
  }

  #erase(): void {
    const last = this.#characters.pop();
    if (last === undefined) return;
    if (last <= "~") this.#show("\b \b");
    else this.#redraw();
  }

  #redraw(): void {
    this.#show(`\r${clearToEnd}${this.prompt}${this.#characters.join("")}`);
  }

  #finish(): void {
    const text = this.#characters.join("");
    this.#characters = [];
    this.#show("\n");
    this.#options.line(text);
  }

  #show(text: string): void {
    if (this.#options.echo) this.#options.show(text);
  }
}
