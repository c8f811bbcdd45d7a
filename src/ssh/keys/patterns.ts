/**
 * Whether a text matches a pattern of ssh_config(5), PATTERNS: `*` is any run of characters, `?` any one; nothing else is special.
 * Compared as written, so both sides in lower case for host names. Takes at most text times pattern steps.
 */
export function matchPattern(text: string, pattern: string): boolean {
  let at = 0;
  let patternAt = 0;
  let starAt = -1;
  let starTextAt = 0;
  while (at < text.length) {
    const wanted = pattern[patternAt];
    if (wanted === "*") {
      starAt = patternAt++;
      starTextAt = at;
    } else if (wanted !== undefined && (wanted === "?" || wanted === text[at])) {
      at++;
      patternAt++;
    } else if (starAt >= 0) {
      // The last star takes one character more; earlier stars never need to.
      patternAt = starAt + 1;
      at = ++starTextAt;
    } else {
      return false;
    }
  }
  while (pattern[patternAt] === "*") patternAt++;
  return patternAt === pattern.length;
}

/** A negated pattern that matches outweighs all others. */
export type PatternListMatch = "match" | "negated" | "no-match";

/** Matches a comma-separated list of patterns, each negated by a `!` in front (ssh_config(5), PATTERNS). */
export function matchPatternList(text: string, list: string): PatternListMatch {
  let found: PatternListMatch = "no-match";
  for (const entry of list.split(",")) {
    const negated = entry.startsWith("!");
    if (!matchPattern(text, negated ? entry.slice(1) : entry)) continue;
    if (negated) return "negated";
    found = "match";
  }
  return found;
}

/** Matches a host name, in any case, against a list of patterns. */
export function matchHostName(hostName: string, list: string): PatternListMatch {
  return matchPatternList(hostName.toLowerCase(), list.toLowerCase());
}
