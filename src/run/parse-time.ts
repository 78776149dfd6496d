/** A length of time as people write it. */
import { UsageError } from "../errors.ts";

const SECONDS = { s: 1, m: 60, min: 60, h: 3600 } as const;

/** "90s", "30m", "1.5h", or a number of seconds → milliseconds. Throws UsageError that names `what`. */
export function parseTime(what: string, asked: number | string): number {
  const found = /^(\d+(?:\.\d+)?)\s*(s|m|min|h)?$/.exec(String(asked).trim());
  const seconds = found === null ? 0 : Number(found[1]) * SECONDS[(found[2] ?? "s") as keyof typeof SECONDS];
  if (!(seconds > 0) || seconds > 1e8) {
    throw new UsageError(`${what} "${asked}": expected a time like 90s, 30m or 2h`);
  }
  return seconds * 1000;
}
