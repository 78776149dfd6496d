/** Figures about orders: Kendall's τ-b, nDCG, and how far two models' scores of the same documents are apart. */

/**
 * Kendall's τ-b, which takes ties into account: (concordant − discordant) / √((n₀ − ties a)(n₀ − ties b)), −1 … 1.
 * Undefined where either side has one value only: then it has no order.
 */
export function kendallTau(a: readonly number[], b: readonly number[]): number | undefined {
  let balance = 0;
  let orderedA = 0;
  let orderedB = 0;
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j < i; j++) {
      const signA = Math.sign((a[i] as number) - (a[j] as number));
      const signB = Math.sign((b[i] as number) - (b[j] as number));
      balance += signA * signB;
      orderedA += Math.abs(signA);
      orderedB += Math.abs(signB);
    }
  }
  return orderedA === 0 || orderedB === 0 ? undefined : balance / Math.sqrt(orderedA * orderedB);
}

/** Indices by falling score; equal scores in the order of the documents. */
export function rankOrder(scores: readonly number[]): number[] {
  return scores.map((_, index) => index).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

/**
 * nDCG at `depth`: gains 2^grade − 1, discounted by log₂(place + 1) (Burges et al. 2005). Documents of equal score share
 * the mean gain of their places, so that a constant score is not credited with the order of the file.
 * Undefined where nothing is relevant.
 */
export function ndcg(scores: readonly number[], grades: readonly number[], depth = 10): number | undefined {
  const ideal = dcg(grades, grades, depth);
  return ideal > 0 ? dcg(scores, grades, depth) / ideal : undefined;
}

function dcg(scores: readonly number[], grades: readonly number[], depth: number): number {
  const order = rankOrder(scores);
  let sum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && scores[order[end] as number] === scores[order[start] as number]) end++;
    const tied = order.slice(start, end);
    const gain = tied.reduce((total, index) => total + 2 ** (grades[index] as number) - 1, 0) / tied.length;
    for (let place = start; place < Math.min(end, depth); place++) sum += gain / Math.log2(place + 2);
    start = end;
  }
  return sum;
}
