/** Budgets as people write them, to numbers. */
import { UsageError } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
/** Bits per weight of F32, the largest type a budget could ask for. */
const MOST_BPW = 32;
/** Decimal digits a double holds for sure: 4.35 GB is 4350000000 bytes, not 4349999999.9999995. */
const SAFE_DIGITS = 15;

/**
 * Parse a file size to whole bytes, rounded down: `4.3GB` (10⁹), `4.3 GiB` (2³⁰), `800MB`, `1234567` (bytes).
 * Throws UsageError for anything else, also `900M`, which means one thing to some and another to others.
 */
export function parseSize(text: string): number {
  const [, digits = "", letters = ""] = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*$/.exec(text) ?? [];
  const unit = letters.toLowerCase();
  if (["k", "m", "g", "t"].includes(unit)) {
    const prefix = unit.toUpperCase();
    throw new UsageError(
      `size "${text}": ${letters} is ambiguous; write ${prefix}B (powers of 1000) or ${prefix}iB (powers of 1024)`,
    );
  }
  const unitBytes = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  if (digits === "" || unitBytes === undefined) {
    throw new UsageError(`size "${text}": expected a number and a unit, like 4.3GB, 4.3GiB, 800MB, or plain bytes`);
  }
  const bytes = Math.floor(Number((Number(digits) * unitBytes).toPrecision(SAFE_DIGITS)));
  if (bytes < 1) throw new UsageError(`size "${text}": expected at least one byte`);
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`size "${text}": too large to be a file`);
  return bytes;
}

/** Parse bits per weight: `4`, `3.5`, `3.5bpw`; more than 0, at most 32. Throws UsageError otherwise. */
export function parseBpw(text: string): number {
  const [, digits = ""] = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:bpw)?\s*$/i.exec(text) ?? [];
  const bpw = digits === "" ? Number.NaN : Number(digits);
  if (bpw > 0 && bpw <= MOST_BPW) return bpw;
  throw new UsageError(`--bpw "${text}": expected bits per weight above 0 and at most ${MOST_BPW}, like 3.5`);
}
