/** KLD over kinds of text, each counting alike, however long its text is. */
import type { MeanSe, Nearness } from "../evaluate/evaluation.ts";

/** Undefined where none was compared with a reference. The errors of kinds are independent. */
export function meanOfKinds(kinds: readonly Pick<Nearness, "kld">[]): MeanSe | undefined {
  const klds = kinds.flatMap(({ kld }) => kld ?? []);
  if (klds.length === 0) return undefined;
  const value = klds.reduce((sum, { mean }) => sum + mean, 0) / klds.length;
  return { value, se: Math.sqrt(klds.reduce((sum, kld) => sum + kld.se ** 2, 0)) / klds.length };
}
