import { baseErrors } from "./rows.ts";

const secondsOf: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  m: 60,
  min: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

const bytesOf: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Seconds of "30s", "1h30m", "250ms" or plain "120". Throws OPERATOR_QUANTITY_INVALID. */
export function parseSeconds(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  const part = /(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*/y;
  let seconds = 0;
  let at = 0;
  while (at < trimmed.length) {
    part.lastIndex = at;
    const found = part.exec(trimmed);
    if (found === null) break;
    seconds += Number(found[1]) * (secondsOf[found[2] ?? ""] ?? Number.NaN);
    at = part.lastIndex;
  }
  if (at === 0 || at < trimmed.length || !Number.isFinite(seconds)) {
    throw new baseErrors.OPERATOR_QUANTITY_INVALID(
      `"${text}" is no duration: write seconds as a number, or 30s, 5m, 1h30m, 2d`,
    );
  }
  // Sums of tenths would leave 0.30000000000000004 in the documentation.
  return Math.round(seconds * 1e6) / 1e6;
}

/** Bytes of "2MiB", "64 KiB", "1GB" or plain "4096". Throws OPERATOR_QUANTITY_INVALID. */
export function parseBytes(text: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit =
    found?.[2] === ""
      ? "B"
      : Object.keys(bytesOf).find((name) => name.toLowerCase() === found?.[2]?.toLowerCase());
  const bytes = Number(found?.[1]) * (bytesOf[unit ?? ""] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes)) {
    throw new baseErrors.OPERATOR_QUANTITY_INVALID(
      `"${text}" is no size: write bytes as a whole number, or 64KiB, 2MiB, 1GiB`,
    );
  }
  return bytes;
}

/** The shortest exact form: 120 is "2m", 90 is "90s". */
export function formatSeconds(seconds: number): string {
  if (seconds !== 0 && !Number.isInteger(seconds)) return `${Math.round(seconds * 1e6) / 1e3}ms`;
  for (const unit of ["d", "h", "m"]) {
    const size = secondsOf[unit] ?? 1;
    if (seconds !== 0 && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

/** The shortest exact form: 2097152 is "2MiB", 1000 is "1000B". */
export function formatBytes(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = bytesOf[unit] ?? 1;
    if (bytes !== 0 && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}
