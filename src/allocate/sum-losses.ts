/**
 * Sum losses without the rounding that depends on their order, so that a plan has one loss whatever the order of its
 * tensors and a step that saves 1e-12 is not lost beside 1e12. Returns the exact sum rounded to a double (to within one
 * unit in the last place). Partials as in Shewchuk, "Adaptive Precision Floating-Point Arithmetic" (1997).
 */
export function sumLosses(losses: Iterable<number>): number {
  const partials: number[] = [];
  for (const loss of losses) {
    let high = loss;
    let kept = 0;
    for (const partial of partials) {
      const [large, small] = Math.abs(high) >= Math.abs(partial) ? [high, partial] : [partial, high];
      const sum = large + small;
      const rest = small - (sum - large);
      if (rest !== 0) partials[kept++] = rest;
      high = sum;
    }
    partials.length = kept;
    partials.push(high);
  }
  return partials.reduceRight((sum, partial) => sum + partial, 0);
}
