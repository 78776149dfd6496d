/**
 * Predicted against measured loss of plans of one model and one sensitivity: a monotone fit of measured KLD over
 * predicted loss (isotonic regression), and how far the two part. Pure.
 */
import type { Calibration } from "./run-document.ts";

export interface MeasuredLoss {
  readonly label: string;
  readonly predictedLoss: number;
  /** Mean KLD and its standard error, nats. */
  readonly kld: number;
  readonly se: number;
}

/** A ratio beyond this, or under its inverse, is worth a warning: plans that differ less can be misordered. */
const PARTED = 1.25;
const STANDARD_ERRORS = 2;

/** Fit the points. Undefined for fewer than two with a positive loss and KLD. */
export function calibrate(points: readonly MeasuredLoss[]): Calibration | undefined {
  const usable = points
    .filter(({ predictedLoss, kld }) => predictedLoss > 0 && kld > 0)
    .sort((a, b) => a.predictedLoss - b.predictedLoss);
  if (usable.length < 2) return undefined;
  const logRatios = usable.map(({ predictedLoss, kld }) => Math.log(kld / predictedLoss));
  const scale = Math.exp(logRatios.reduce((sum, ratio) => sum + ratio, 0) / usable.length);
  const fitted = isotonic(usable.map(({ kld }) => Math.log(kld)));
  return {
    scale,
    fit: usable.map(({ predictedLoss }, index) => ({ predictedLoss, kld: Math.exp(fitted[index] as number) })),
    ratios: usable.map(({ label, predictedLoss, kld }) => ({ label, ratio: kld / (scale * predictedLoss) })),
  };
}

/** Where prediction and measurement part, in words. */
export function describeParting(points: readonly MeasuredLoss[], { ratios }: Calibration): string[] {
  const parted = ratios.filter(({ ratio }) => ratio > PARTED || ratio < 1 / PARTED);
  const sorted = [...points].sort((a, b) => a.predictedLoss - b.predictedLoss);
  const misordered = sorted.flatMap((point, index) => {
    const next = sorted[index + 1];
    if (next === undefined || point.kld - next.kld <= STANDARD_ERRORS * Math.hypot(point.se, next.se)) return [];
    return [`${point.label} was predicted better than ${next.label} and measured worse`];
  });
  const words = parted.map(({ label, ratio }) => `${label} ${ratio.toFixed(2)}`);
  return [
    ...(words.length === 0
      ? []
      : [`predicted and measured loss part: measured ÷ predicted, scaled to 1 on average, is ${words.join(", ")}`]),
    ...misordered,
  ];
}

/** Pool adjacent violators: the nearest sequence, in squares, that never falls. */
function isotonic(values: readonly number[]): number[] {
  const blocks: { sum: number; count: number }[] = [];
  for (const value of values) {
    let block = { sum: value, count: 1 };
    for (let last = blocks.at(-1); last && last.sum / last.count > block.sum / block.count; last = blocks.at(-1)) {
      block = { sum: block.sum + last.sum, count: block.count + last.count };
      blocks.pop();
    }
    blocks.push(block);
  }
  return blocks.flatMap(({ sum, count }) => Array.from({ length: count }, () => sum / count));
}
