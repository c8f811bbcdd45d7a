import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Problem } from "./problem.ts";
import { substitute, type TextSource } from "./substitute.ts";

/** Where a value stands in its file, and where what is in it stands. */
interface Place {
  /** Offset of the value, and of its key if it has one. */
  readonly value: number;
  readonly key: number;
  /** Its text came, at least in part, from outside the file: never show it. */
  readonly foreign: boolean;
  readonly inner: Map<PropertyKey, Place>;
}

/** Nesting and size beyond which a file is no configuration any more. */
const maxDepth = 64;
const maxNodes = 1_000_000;
export const maxFileBytes: number = 4 * 1024 * 1024;

/** One YAML file as plain values, with the place of each. */
export class YamlDocument {
  readonly file: string;
  /** What it says: null-prototype objects, arrays and scalars; undefined if it could not be read. */
  value: unknown;
  readonly problems: Problem[] = [];
  readonly #lines = new LineCounter();
  #root: Place | undefined;
  #nodes = 0;

  private constructor(file: string) {
    this.file = file;
  }

  /** Never throws: what is wrong stands in `problems`. */
  static async read(file: string, text: string, source: TextSource): Promise<YamlDocument> {
    const document = new YamlDocument(file);
    await document.#parse(text, source);
    return document;
  }

  async #parse(text: string, source: TextSource): Promise<void> {
    let parsed;
    try {
      parsed = parseDocument(text, {
        lineCounter: this.#lines,
        prettyErrors: false,
        version: "1.2",
        schema: "core",
        stringKeys: true,
      });
    } catch (error) {
      // The parser recurses: what is nested too deeply ends its stack.
      const deep = error instanceof RangeError;
      this.#report(0, deep ? "is nested too deeply" : `is not YAML: ${String(error)}`);
      return;
    }
    for (const { pos, message } of [...parsed.errors, ...parsed.warnings])
      this.#report(pos[0], plainMessage(message));
    if (this.problems.length > 0) return;
    const root = parsed.contents;
    if (root === null || (isScalar(root) && root.value === null)) {
      this.value = Object.create(null) as object;
      this.#root = { value: 0, key: 0, foreign: false, inner: new Map() };
      return;
    }
    const context: Walk = { source, resolve: (node) => (isAlias(node) ? node.resolve(parsed) : undefined) };
    const found = await this.#walk(root, root.range?.[0] ?? 0, 0, context);
    this.value = found.value;
    this.#root = found.place;
  }

  async #walk(
    node: Node,
    key: number,
    depth: number,
    context: Walk,
  ): Promise<{ value: unknown; place: Place }> {
    const at = node.range?.[0] ?? key;
    const place = (foreign: boolean): Place => ({ value: at, key, foreign, inner: new Map() });
    if (depth > maxDepth || ++this.#nodes > maxNodes) {
      // An alias inside its own anchor, or anchors that multiply, end here as well.
      if (this.#nodes <= maxNodes || this.#nodes === maxNodes + 1) {
        this.#report(at, depth > maxDepth ? "is nested too deeply" : "holds too much");
      }
      return { value: undefined, place: place(false) };
    }
    if (isAlias(node)) {
      const meant = context.resolve(node);
      if (meant !== undefined) {
        const found = await this.#walk(meant, key, depth + 1, context);
        return { value: found.value, place: { ...found.place, value: at } };
      }
      this.#report(at, `nothing is called &${node.source}`);
      return { value: undefined, place: place(false) };
    }
    if (isMap(node)) return await this.#walkMap(node.items as Pair[], place(false), depth, context);
    if (isSeq(node)) {
      const self = place(false);
      const value: unknown[] = [];
      for (const [index, item] of (node.items as Node[]).entries()) {
        const found = await this.#walk(item, item.range?.[0] ?? at, depth + 1, context);
        value.push(found.value);
        self.inner.set(index, found.place);
      }
      return { value, place: self };
    }
    const value: unknown = isScalar(node) ? node.value : undefined;
    if (typeof value !== "string") return { value, place: place(false) };
    const filled = await substitute(value, context.source);
    for (const problem of filled.problems) this.#report(at, problem);
    return { value: filled.text, place: place(filled.foreign) };
  }

  async #walkMap(
    pairs: Pair[],
    self: Place,
    depth: number,
    context: Walk,
  ): Promise<{ value: unknown; place: Place }> {
    const value = Object.create(null) as Record<string, unknown>;
    for (const pair of pairs) {
      const name = isScalar(pair.key) ? String(pair.key.value) : undefined;
      const at = pair.key.range?.[0] ?? self.value;
      if (name === undefined) {
        this.#report(at, "a key must be plain text");
      } else if (pair.value === null) {
        value[name] = null;
        self.inner.set(name, { value: at, key: at, foreign: false, inner: new Map() });
      } else {
        const found = await this.#walk(pair.value, at, depth + 1, context);
        value[name] = found.value;
        self.inner.set(name, found.place);
      }
    }
    return { value, place: self };
  }

  /** Whether the file has a value under this key path. */
  has(path: readonly PropertyKey[]): boolean {
    return this.#find(path).length === path.length + 1;
  }

  /** Whether the text there came from the environment or another file. */
  isForeign(path: readonly PropertyKey[]): boolean {
    return this.#find(path).at(-1)?.foreign ?? false;
  }

  /** Offset of a key: tells which of two keys stands first. */
  keyOffset(path: readonly PropertyKey[]): number {
    return this.#find(path).at(-1)?.key ?? 0;
  }

  line(path: readonly PropertyKey[]): number {
    return this.#lines.linePos(this.#find(path).at(-1)?.value ?? 0).line;
  }

  /** A problem of the value under a key path or, where there is none, of what should hold it. */
  problem(
    path: readonly PropertyKey[],
    text: string,
    options: { severity?: Problem["severity"]; onKey?: boolean } = {},
  ): Problem {
    const places = this.#find(path);
    const place = places.at(-1);
    const whole = places.length === path.length + 1 && options.onKey !== true;
    const { line, col } = this.#lines.linePos((whole ? place?.value : place?.key) ?? 0);
    const prefix = path.length === 0 ? "" : `${formatKeyPath(path)}: `;
    return {
      severity: options.severity ?? "error",
      file: this.file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      text: prefix + text,
    };
  }

  /** The places along a key path, from the root as far as the file goes. */
  #find(path: readonly PropertyKey[]): Place[] {
    const places: Place[] = this.#root === undefined ? [] : [this.#root];
    for (const step of path) {
      const next = places.at(-1)?.inner.get(step);
      if (next === undefined) break;
      places.push(next);
    }
    return places;
  }

  #report(offset: number, text: string): void {
    const { line, col } = this.#lines.linePos(offset);
    this.problems.push({
      severity: "error",
      file: this.file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      text,
    });
  }
}

interface Walk {
  readonly source: TextSource;
  resolve(node: Node): Node | undefined;
}

interface Pair {
  readonly key: Node;
  readonly value: Node | null;
}

/** `rules[0].upstream.port` */
export function formatKeyPath(path: readonly PropertyKey[]): string {
  return path
    .map((step, at) => (typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${String(step)}`))
    .join("");
}

/** The parser's sentences end in a colon and an excerpt at times, and never say that they speak of YAML. */
function plainMessage(message: string): string {
  return message
    .replace(/\s+/g, " ")
    .replace(/ at line \d+, column \d+.*$/, "")
    .trim();
}
