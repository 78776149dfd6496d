export interface SpectralDominance {
  /** Nats above the Gaussian null. */
  readonly value: number;
  /** ‖W‖²/σ₁², from 1 to the smaller side. */
  readonly stableRank: number;
}

/**
 * Compute ln of σ₁²/‖W‖² over its value for independent Gaussian weights, (1/√m + 1/√n)² (Bai-Yin edge): how far the
 * best rank-1 approximation reaches above noise. 0 for noise, about ln(min(m, n)/4) for rank 1.
 */
export function spectralDominance(sigmaMax: number, power: number, rows: number, columns: number): SpectralDominance {
  const share = sigmaMax ** 2 / power;
  const noise = (1 / Math.sqrt(rows) + 1 / Math.sqrt(columns)) ** 2;
  return { value: Math.log(share / noise), stableRank: 1 / share };
}
