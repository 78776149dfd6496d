/**
 * How much of a plan's loss more probes could still save. Where the allocator equalizes what a byte buys, a plan made with
 * ln densities that are wrong by δ loses Σ loss × (δ − δ̄)² / 2 more than the right one: the level δ̄ is no error.
 */
import type { ProbeFit } from "./probe-fit.ts";

/** Expected, as a part of the loss; `losses`: elements·D·density of each tensor in its planned type. */
export function expectedRegret(losses: readonly number[], fit: ProbeFit): number {
  const total = losses.reduce((sum, loss) => sum + loss, 0);
  if (!(total > 0)) return 0;
  const deviations = deviationsFromLevel(losses, fit);
  return losses.reduce((sum, loss, t) => sum + ((loss / total) * (deviations[t] as number) ** 2) / 2, 0);
}

/** Standard deviations of ln density from its mean, which is weighted. */
export function deviationsFromLevel(weights: readonly number[], fit: ProbeFit): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const withLevel = weights.map((_, a) =>
    weights.reduce((sum, weight, b) => sum + (weight / total) * fit.covariance(a, b), 0),
  );
  const level = weights.reduce((sum, weight, t) => sum + (weight / total) * (withLevel[t] as number), 0);
  return weights.map((_, t) => Math.sqrt(Math.max(0, fit.covariance(t, t) - 2 * (withLevel[t] as number) + level)));
}
