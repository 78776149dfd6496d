/** A fit that takes a probe for measured with the value it expects: its mean stays, and its variance is what it will be. */
import { type ProbeFit, type ProbePart, sharesOf } from "./probe-fit.ts";

/** `noise`: variance of the logarithm of the probe. */
export function believe(fit: ProbeFit, parts: readonly ProbePart[], noise: number): ProbeFit {
  const { logDensity } = fit;
  const { shares } = sharesOf(parts, logDensity);
  const withProbe = Float64Array.from(logDensity, (_, t) =>
    parts.reduce((sum, { tensor }, i) => sum + (shares[i] as number) * fit.covariance(t, tensor), 0),
  );
  const variance = parts.reduce(
    (sum, { tensor }, i) => sum + (shares[i] as number) * (withProbe[tensor] as number),
    noise,
  );
  return {
    logDensity,
    covariance: (a, b) => fit.covariance(a, b) - ((withProbe[a] as number) * (withProbe[b] as number)) / variance,
  };
}
