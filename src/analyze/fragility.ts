import type { Osqe } from "./osqe.ts";

/**
 * Compute ln(OSQE(2)/OSQE(4)), nats: the slope of the rate-distortion curve, 2.77 in high-rate theory, lower with
 * outliers. Undefined where the 2-bit or the 4-bit grid holds the weights without loss.
 */
export function fragility({ b2, b4 }: Osqe): number | undefined {
  return b2 > 0 && b4 > 0 ? Math.log(b2 / b4) : undefined;
}
