/** Microseconds by stack; a stack is its functions, outermost first, with semicolons between. */
export type Stacks = ReadonlyMap<string, number>;

interface Frame {
  micros: number;
  readonly callees: Map<string, Frame>;
}

const width = 1600;
const rowHeight = 17;
/** Narrower ones cannot be seen. */
const minWidth = 0.6;
const letterWidth = 6.6;

/** An SVG: the width of a box is the share of time in that function and those below it; its text stands beside the pointer as well. */
export function flameGraph(stacks: Stacks): string {
  const root: Frame = { micros: 0, callees: new Map() };
  for (const [stack, micros] of stacks) {
    root.micros += micros;
    let at = root;
    for (const name of stack.split(";")) {
      const callee = at.callees.get(name) ?? { micros: 0, callees: new Map() };
      at.callees.set(name, callee);
      callee.micros += micros;
      at = callee;
    }
  }
  const boxes: string[] = [];
  let deepest = 0;
  const draw = (frame: Frame, left: number, depth: number): void => {
    let x = left;
    for (const [name, callee] of [...frame.callees].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const wide = (callee.micros / root.micros) * width;
      if (wide >= minWidth) {
        deepest = Math.max(deepest, depth);
        boxes.push(box(name, callee.micros / root.micros, x, depth, wide));
        draw(callee, x, depth + 1);
      }
      x += wide;
    }
  };
  draw(root, 0, 0);
  const height = (deepest + 1) * rowHeight;
  const style = "text{font:11px monospace;pointer-events:none}";
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><style>${style}</style>`;
  return `${head}\n${boxes.join("\n")}\n</svg>\n`;
}

function box(name: string, share: number, x: number, depth: number, wide: number): string {
  const text = escaped(name);
  const letters = Math.floor(wide / letterWidth);
  const shown = letters < 4 ? "" : escaped(name.slice(0, letters));
  // The same function has the same colour everywhere.
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 60;
  const y = depth * rowHeight;
  const place = `x="${x.toFixed(1)}" y="${y}" width="${wide.toFixed(1)}" height="${rowHeight - 1}"`;
  const title = `<title>${text}: ${(share * 100).toFixed(1)} %</title>`;
  const label = `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${shown}</text>`;
  return `<g><rect ${place} fill="hsl(${hash},80%,70%)">${title}</rect>${label}</g>`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
