/** `*` is any run of characters, `?` any one; the whole name must match. */
export function wildcard(pattern: string): RegExp {
  const source = pattern.replace(/[\\^$.*+?()[\]{}|]/g, (mark) => {
    if (mark === "*") return ".*";
    return mark === "?" ? "." : `\\${mark}`;
  });
  return new RegExp(`^${source.replace(/(?:\.\*)+/g, ".*")}$`, "s");
}
