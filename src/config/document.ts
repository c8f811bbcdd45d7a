import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Problem } from "./problem.ts";
import { substitute, type TextSource } from "./substitute.ts";

/** Where a value stands in its file, and where what is in it stands. */
interface Place {
  /** Offset of the value, and of its key if it has one. */
  readonly value: number;
  readonly key: number;
  /** Its text came, at least in part, from outside the file: never show it. */
  foreign: boolean;
  /** What is wrong with it was reported already. */
  broken: boolean;
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
  readonly #anchors = new Map<string, Node>();
  /** Texts with something to fill in. */
  readonly #references: {
    holder: Record<string | number, unknown>;
    key: string | number;
    text: string;
    place: Place;
  }[] = [];
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
    for (const { pos, code, message } of [...parsed.errors, ...parsed.warnings])
      this.#report(pos[0], plainMessage(code, message));
    if (this.problems.length > 0) return;
    const root = parsed.contents;
    if (root === null || (isScalar(root) && root.value === null)) {
      this.value = Object.create(null) as object;
      this.#root = placeAt(0, 0);
      return;
    }
    const found = this.#walk(root, root.range?.[0] ?? 0, 0, true);
    this.value = found.value;
    this.#root = found.place;
    for (const { holder, key, text: written, place } of this.#references) {
      const filled = await substitute(written, source);
      holder[key] = filled.text;
      place.foreign = filled.foreign;
      place.broken = filled.problems.length > 0;
      for (const problem of filled.problems) this.#report(place.value, problem);
    }
  }

  /** `first`: not within an alias, so that an anchor is where it is written, and nowhere else. */
  #walk(node: Node, key: number, depth: number, first: boolean): { value: unknown; place: Place } {
    const at = node.range?.[0] ?? key;
    // An alias inside its own anchor, and anchors that multiply, end here as well.
    if (depth > maxDepth) return this.#refuse(at, key, "is nested too deeply");
    if (++this.#nodes > maxNodes) return this.#refuse(at, key, "holds too much");
    if (isAlias(node)) {
      const meant = this.#anchors.get(node.source);
      if (meant === undefined) return this.#refuse(at, key, `nothing above is called &${node.source}`);
      const found = this.#walk(meant, key, depth + 1, false);
      return { value: found.value, place: { ...found.place, value: at } };
    }
    if (first && node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#walkMap(node.items as Pair[], placeAt(at, key), depth, first);
    if (isSeq(node)) return this.#walkList(node.items as Node[], placeAt(at, key), depth, first);
    return { value: isScalar(node) ? node.value : undefined, place: placeAt(at, key) };
  }

  #walkList(
    items: readonly Node[],
    self: Place,
    depth: number,
    first: boolean,
  ): { value: unknown; place: Place } {
    const value: unknown[] = [];
    for (const [index, item] of items.entries()) {
      const found = this.#walk(item, item.range?.[0] ?? self.value, depth + 1, first);
      this.#put(value, index, found.value, self, found.place);
    }
    return { value, place: self };
  }

  #walkMap(
    pairs: readonly Pair[],
    self: Place,
    depth: number,
    first: boolean,
  ): { value: unknown; place: Place } {
    const value = Object.create(null) as Record<string, unknown>;
    for (const pair of pairs) {
      const name = isScalar(pair.key) ? String(pair.key.value) : undefined;
      const at = pair.key.range?.[0] ?? self.value;
      if (name === undefined) {
        this.#refuse(at, at, "a key must be plain text");
        continue;
      }
      const found =
        pair.value === null
          ? { value: null, place: placeAt(at, at) }
          : this.#walk(pair.value, at, depth + 1, first);
      this.#put(value, name, found.value, self, found.place);
    }
    return { value, place: self };
  }

  #put(holder: object, key: string | number, value: unknown, self: Place, place: Place): void {
    const target = holder as Record<string | number, unknown>;
    target[key] = value;
    self.inner.set(key, place);
    if (typeof value === "string" && value.includes("${"))
      this.#references.push({ holder: target, key, text: value, place });
  }

  #refuse(at: number, key: number, text: string): { value: undefined; place: Place } {
    // Once is enough: what multiplies would be reported as often.
    if (!this.problems.some((problem) => problem.text === text)) this.#report(at, text);
    return { value: undefined, place: { ...placeAt(at, key), broken: true } };
  }

  /** Whether the file has a value under this key path. */
  has(path: readonly PropertyKey[]): boolean {
    return this.#find(path).length === path.length + 1;
  }

  /** Whether the text there came from the environment or another file. */
  isForeign(path: readonly PropertyKey[]): boolean {
    return this.#find(path).at(-1)?.foreign ?? false;
  }

  /** Whether what is wrong there, or with what holds it, was reported already. */
  isBroken(path: readonly PropertyKey[]): boolean {
    return this.#find(path).some(({ broken }) => broken);
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

function placeAt(value: number, key: number): Place {
  return { value, key, foreign: false, broken: false, inner: new Map() };
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

/** The parser's sentences, where they are plain enough for an operator. */
function plainMessage(code: string, message: string): string {
  switch (code) {
    case "DUPLICATE_KEY":
      return "this key stands here a second time";
    case "MULTIPLE_DOCS":
      return "a second document begins here; one file holds one, so leave out the ---";
    case "TAG_RESOLVE_FAILED":
      return `${message.replace("Unresolved tag: ", "")} means nothing here; put text that begins with ! in quotes`;
    default:
      return message.replace(/\s+/g, " ").trim();
  }
}
