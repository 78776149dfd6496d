/** Numbers as reports print them: the same on every machine, exact where bytes are meant. */

/** An integer with commas: 16,928,064. */
export function formatInteger(value: number): string {
  const digits = Math.abs(value).toFixed(0);
  return `${value < 0 ? "-" : ""}${digits.replace(/\B(?=(\d{3})+$)/g, ",")}`;
}

/** An integer with commas and its sign: +1,024, 0, -32. */
export function formatDelta(value: number): string {
  return value > 0 ? `+${formatInteger(value)}` : formatInteger(value);
}

/** Bytes, exactly and at a glance: 16,928,064 bytes (16.93 MB). Units are decimal. */
export function formatBytes(bytes: number): string {
  return `${formatInteger(bytes)} bytes (${formatSize(bytes)})`;
}

/** Bytes at a glance: 16.93 MB, 4.65 GB. */
export function formatSize(bytes: number): string {
  const [divisor, unit] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / divisor).toFixed(2)} ${unit}`;
}

/**
 * The same in the unit of a size that was typed, or a smaller one of its kind: 4.00 GiB and 12.00 MiB for "--size 4GiB",
 * 4.29 GB for what names none.
 */
export function formatSizeAs(typed: string, bytes: number): string {
  const [, unit = ""] = /\d\s*([kmgt]i?b)\b/i.exec(typed) ?? [];
  const power = "kmgt".indexOf(unit.charAt(0).toLowerCase()) + 1;
  if (unit === "" || power === 0) return formatSize(bytes);
  const isBinary = unit.length === 3;
  const base = isBinary ? 1024 : 1000;
  const fitting = [power, power - 1, power - 2].find((smaller) => smaller >= 1 && bytes >= SMALL * base ** smaller);
  const shown = fitting ?? 1;
  const prefix = (isBinary ? "KMGT" : "kMGT").charAt(shown - 1);
  return `${(bytes / base ** shown).toFixed(2)} ${prefix}${isBinary ? "i" : ""}B`;
}

/** Of a unit: less is told in the next smaller one. */
const SMALL = 0.1;

/** A fraction as percent: 12.3 %. */
export function formatPercent(fraction: number, digits = 1): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** A loss, a sensitivity, a distortion: four significant digits. */
export function formatAmount(value: number): string {
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude >= 1e4 && magnitude < 1e6) return formatInteger(Number(value.toPrecision(4)));
  return magnitude >= 1e-3 && magnitude < 1e6 ? value.toPrecision(4) : value.toExponential(3);
}

/** A change of such an amount, with its sign. */
export function formatAmountDelta(value: number): string {
  return value > 0 ? `+${formatAmount(value)}` : formatAmount(value);
}
