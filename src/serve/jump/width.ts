import { eastAsianWidth } from "get-east-asian-width";

/** Characters that stand on or in the one before them. */
const standsOnOther = /^[\p{M}\p{Cf}]$/u;

/** Columns that a text takes on a terminal. It holds no control characters. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfOne(character);
  return columns;
}

/** As much of a text as fits, from its beginning; an ellipsis stands for what does not. */
export function cutTo(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let cut = "";
  let left = columns - 1;
  for (const character of text) {
    left -= columnsOfOne(character);
    if (left < 0) break;
    cut += character;
  }
  return columns > 0 ? `${cut}…` : "";
}

/** The end of a text that fits: of what is typed, the newest is seen. */
export function tailOf(text: string, columns: number): string {
  const characters = Array.from(text);
  while (characters.length > 0 && columnsOf(characters.join("")) > columns) characters.shift();
  return characters.join("");
}

/** Without what a terminal acts upon. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "");
}

function columnsOfOne(character: string): number {
  return standsOnOther.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0);
}
