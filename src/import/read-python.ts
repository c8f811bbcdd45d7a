import { readText } from "#config";
import { dirname, relative, resolve } from "node:path";
import { ImportInvalid, problemAt } from "./errors.ts";
import { parsePython, type PythonValue } from "./python.ts";

/** A file may be included from several places, but not without end. */
const maxFiles = 1000;

/** One name and what it was set to last. */
export interface Assigned {
  readonly name: string;
  readonly value: PythonValue;
  readonly line: number;
  readonly column: number;
  readonly file: string;
  /** Folder in which its file lies: relative paths begin there. */
  readonly folder: string;
}

/** All names that a file and those that it includes set; later wins, as in Python. Throws ImportInvalid. */
export async function readPython(path: string): Promise<ReadonlyMap<string, Assigned>> {
  const found = new Map<string, Assigned>();
  let files = 0;
  const main = resolve(path);
  const visit = async (file: string, text: string, chain: readonly string[]): Promise<void> => {
    const folder = dirname(file);
    for (const statement of parsePython(shownName(file), text)) {
      if (statement.kind === "assign") {
        const { name, value, line, column } = statement;
        found.delete(name);
        found.set(name, { name, value, line, column, file: statement.file, folder });
        continue;
      }
      const target = resolve(folder, statement.path);
      const refuse = (why: string): never => {
        throw new ImportInvalid([problemAt(statement, why)]);
      };
      if (chain.includes(target)) {
        const circle = [...chain.slice(chain.indexOf(target)), target].map((step) =>
          relative(dirname(main), step),
        );
        refuse(`goes in a circle: ${circle.join(" includes ")}; leave out one execfile`);
      }
      if (++files > maxFiles) refuse(`brings more than ${maxFiles} files`);
      const included = await readText(target).catch((error: unknown) => refuse(sentence(error)));
      await visit(target, included, [...chain, target]);
    }
  };
  const text = await readText(main).catch((error: unknown) => {
    throw new ImportInvalid([problemAt({ file: shownName(main), line: 0, column: 0 }, sentence(error))]);
  });
  await visit(main, text, [main]);
  return found;
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** As the operator would name it: relative where that is shorter. */
export function shownName(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.length < path.length && !fromHere.startsWith("..") ? fromHere : path;
}
