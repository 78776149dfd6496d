/** A measured value as text. */
import type { MeanSe } from "../../evaluate/evaluation.ts";

/** A value and its error with the error's two leading digits: 43.88 ± 1.07. */
export function formatMeanSe({ value, se }: MeanSe): string {
  if (!(se > 0)) return value.toPrecision(6);
  const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(se))));
  return `${value.toFixed(digits)} ± ${se.toFixed(digits)}`;
}
