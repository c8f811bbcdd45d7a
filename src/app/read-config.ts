import { type Loaded, loadConfig, type LoadOptions, readText } from "#config";
import type { ConfigTexts } from "./worker-messages.ts";

export interface ReadConfig extends Loaded {
  /** What it was read from. */
  readonly texts: ConfigTexts;
}

/** Reads a configuration and keeps its texts. Throws ConfigInvalid. */
export async function readConfig(file: string, environment: LoadOptions["environment"]): Promise<ReadConfig> {
  const texts = new Map<string, string>();
  const loaded = await loadConfig(file, {
    environment,
    read: async (path, maxBytes) => {
      const text = await readText(path, maxBytes);
      texts.set(path, text);
      return text;
    },
  });
  return { ...loaded, texts };
}

/** The same configuration again, in another process. */
export async function rereadConfig(
  file: string,
  texts: ConfigTexts,
  environment: LoadOptions["environment"],
): Promise<Loaded> {
  return await loadConfig(file, {
    environment,
    // Whether its files were there has been looked at; with fewer rights it would be judged anew.
    filesMustExist: false,
    read: async (path, maxBytes) => texts.get(path) ?? (await readText(path, maxBytes)),
  });
}
