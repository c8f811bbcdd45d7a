import { rm, writeFile } from "node:fs/promises";
import { cliErrors } from "./errors.ts";

/** Never through a link that somebody has put there, and never over a file unless asked to. */
export async function writeNew(file: string, text: string, mode: number, force: boolean): Promise<void> {
  if (force) await rm(file, { force: true });
  try {
    await writeFile(file, text, { flag: "wx", mode });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const detail =
      code === "EEXIST"
        ? `${file} is there already; --force replaces it`
        : `${file} cannot be written: ${message}`;
    throw new cliErrors.OPERATOR_COMMAND_FAILED(detail, { cause });
  }
}
