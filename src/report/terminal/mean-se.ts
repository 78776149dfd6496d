/** A measured value as text. */
import type { MeanSe } from "../../evaluate/evaluation.ts";

/** Tokens per second: three digits at least, and of the error no more than they show. */
export function formatRate({ value, se }: MeanSe): string {
  const digits = Math.min(2, Math.max(0, 2 - Math.floor(Math.log10(Math.max(value, 1e-9)))));
  return se > 0 ? `${value.toFixed(digits)} ± ${se.toFixed(digits)}` : value.toFixed(digits);
}

/** A value and its error with the error's two leading digits: 43.88 ± 1.07. */
export function formatMeanSe({ value, se }: MeanSe): string {
  if (!(se > 0)) return value.toPrecision(6);
  const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(se))));
  return `${value.toFixed(digits)} ± ${se.toFixed(digits)}`;
}
