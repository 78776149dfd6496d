/**
 * How much of a plan's loss more probes could still save. Where the allocator equalizes what a byte buys, a plan made with
 * ln densities that are wrong by δ loses Σ loss × (δ − δ̄)² / 2 more than the right one: the level δ̄ is no error.
 */
import type { ProbeFit } from "./probe-fit.ts";

/** Expected, as a part of the loss; `losses`: elements·D·density of each tensor in its planned type. */
export function expectedRegret(losses: readonly number[], fit: ProbeFit): number {
  const total = losses.reduce((sum, loss) => sum + loss, 0);
  if (!(total > 0)) return 0;
  const shares = losses.map((loss) => loss / total);
  const own = shares.reduce((sum, share, t) => sum + share * fit.covariance(t, t), 0);
  // the variance of the mean that all have in common
  const level = shares.reduce(
    (sum, share, a) => sum + share * shares.reduce((inner, other, b) => inner + other * fit.covariance(a, b), 0),
    0,
  );
  return Math.max(0, own - level) / 2;
}
