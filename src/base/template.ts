import { defineErrors, type ErrorTable } from "./errors.ts";

const rows = {
  OPERATOR_TEMPLATE_INVALID: {
    user: "The gateway is misconfigured.",
    operator: "a text with {captures} is malformed",
  },
} as const;

export const templateErrors: ErrorTable<typeof rows> = defineErrors(rows);

/** Values of a template's names: a capture that took no part in the match is absent. */
export type Captures = Readonly<Record<string, string | undefined>>;

/** Text with places to fill in: `web{id}.example.lan`. `{user}` and `{0}` are the user name, `{1}` and `{id}` captures. */
export interface Template {
  readonly text: string;
  /** Names that occur in it, each once. */
  readonly names: readonly string[];
  /** The text filled in; undefined when one of its names has no value. */
  expand(values: Captures): string | undefined;
}

/** Throws OPERATOR_TEMPLATE_INVALID. */
export function parseTemplate(text: string): Template {
  const parts: { readonly literal: string; readonly name?: string }[] = [];
  const place = /\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*|[0-9]{1,2})\}|[{}]/g;
  let at = 0;
  for (const match of text.matchAll(place)) {
    const literal = text.slice(at, match.index);
    at = match.index + match[0].length;
    const name = match[1];
    if (name !== undefined) parts.push({ literal, name });
    else if (match[0] === "{{") parts.push({ literal: `${literal}{` });
    else if (match[0] === "}}") parts.push({ literal: `${literal}}` });
    else {
      const detail = `"${text}", character ${match.index + 1}: write {name} or {1}, and {{ or }} for a brace itself`;
      throw new templateErrors.OPERATOR_TEMPLATE_INVALID(detail);
    }
  }
  const tail = text.slice(at);
  const names = [...new Set(parts.flatMap((part) => part.name ?? []))];
  return {
    text,
    names,
    expand(values: Captures): string | undefined {
      let filled = "";
      for (const { literal, name } of parts) {
        filled += literal;
        if (name === undefined) continue;
        const value = Object.hasOwn(values, name) ? values[name] : undefined;
        if (value === undefined) return undefined;
        filled += value;
      }
      return filled + tail;
    },
  };
}
