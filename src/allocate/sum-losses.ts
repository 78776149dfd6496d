/**
 * Sum losses exactly and round once, so that a plan has one loss whatever the order of its tensors, and a step that
 * saves 1e-12 is not lost beside 1e12. Follows Shewchuk, "Adaptive Precision Floating-Point Arithmetic" (1997): the
 * sum is kept as partials that don't overlap.
 */
export function sumLosses(losses: Iterable<number>): number {
  const partials: number[] = [];
  for (const loss of losses) {
    let high = loss;
    let kept = 0;
    for (const partial of partials) {
      const [sum, rest] = addExactly(high, partial);
      if (rest !== 0) partials[kept++] = rest;
      high = sum;
    }
    partials.length = kept;
    partials.push(high);
  }
  return roundPartials(partials);
}

/** The rounded sum and what rounding lost. */
function addExactly(a: number, b: number): [sum: number, rest: number] {
  const [large, small] = Math.abs(a) >= Math.abs(b) ? [a, b] : [b, a];
  const sum = large + small;
  return [sum, small - (sum - large)];
}

function roundPartials(partials: number[]): number {
  let total = partials.pop() ?? 0;
  for (let partial = partials.pop(); partial !== undefined; partial = partials.pop()) {
    const [sum, rest] = addExactly(total, partial);
    total = sum;
    if (rest === 0) continue;
    // Exactly half way was rounded to even; the next partial decides which side it is really on.
    const next = partials.at(-1) ?? 0;
    const doubled = 2 * rest;
    if (next * rest > 0 && total + doubled - total === doubled) total += doubled;
    break;
  }
  return total;
}
