/** Options that would change nothing are refused, not forgotten. */
import { UsageError } from "../errors.ts";

/** Throws UsageError for the first that is given; `options` by their flags, `why` what is the case. */
export function refuseOptions(options: Readonly<Record<string, unknown>>, why: string): void {
  const given = Object.entries(options).find(([, value]) => value !== undefined);
  if (given !== undefined) throw new UsageError(`${given[0]}: ${why}; leave it out`);
}
