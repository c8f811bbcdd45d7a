/** Text of a server for a terminal: nothing in it may move the cursor or paint. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const safe = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
  return safe.trim();
}

/** The same within a sentence, whose end is ours. */
export function quotable(text: string): string {
  return printable(text).replace(/[.\s]+$/, "");
}
