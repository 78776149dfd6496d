/**
 * Time and optimality gap of the allocator on problems of the shapes of real models: `npx tsx bench/allocate.ts`.
 * Sizes are those of the models' architectures; losses are Gaussian distortion × elements × a random sensitivity.
 */
import { allocate } from "../src/allocate/allocate.ts";
import type { Item } from "../src/allocate/problem.ts";
import { budgetsOf, ggmlBytes, modelItems, seeded } from "../test/allocate/random-problem.ts";

const BUDGETS = 40;
/** Only budgets below this share of the range: above it, every model is nearly lossless. */
const SHARE = 0.6;

/** Dense transformer with grouped-query attention. */
function dense(layers: number, width: number, hidden: number, keyWidth: number, vocabulary: number): number[] {
  const layer = [width * width, width * keyWidth, width * keyWidth, width * width, ...Array(3).fill(width * hidden)];
  return [vocabulary * width, ...Array.from({ length: layers }, () => layer).flat()];
}

/** Mixture of experts: three large stacked tensors per layer among small ones. */
function experts(layers: number, width: number, hidden: number, count: number, vocabulary: number): number[] {
  const layer = [
    width * width * 2,
    width * 512,
    width * 512,
    width * width * 2,
    ...Array(3).fill(width * hidden * count),
  ];
  return [vocabulary * width, vocabulary * width, ...Array.from({ length: layers }, () => layer).flat()];
}

const random = seeded(1);
const scattered = (count: number): number[] =>
  Array.from({ length: count }, () => Math.floor(1e6 * Math.exp(2 * random())));
const irregular: typeof ggmlBytes = (type, elements) => Math.floor(ggmlBytes(type, elements) * (1 + 0.01 * random()));

const problems: Record<string, Item[]> = {
  "0.8B, large embedding": modelItems(dense(24, 1024, 3584, 512, 248_320), random),
  "9B dense": modelItems(dense(32, 4096, 12_288, 1024, 248_320), random),
  "27B dense": modelItems(dense(64, 5120, 17_408, 1024, 248_320), random),
  "27B dense, equal sensitivities": modelItems(dense(64, 5120, 17_408, 1024, 248_320), () => 0.5),
  "35B experts": modelItems(experts(40, 2048, 512, 256, 248_320), random),
  "120B experts": modelItems(experts(48, 3072, 1024, 256, 248_320), random),
  "1000 irregular": modelItems(scattered(1000), random, irregular),
  "1800 irregular": modelItems(scattered(1800), random, irregular),
};

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;

console.log("| problem | tensors × types | proven optimal | gap median | gap max | ms median | ms max |");
console.log("|---|---|---|---|---|---|---|");
for (const [label, items] of Object.entries(problems)) {
  const budgets = budgetsOf(items, Math.round(BUDGETS / SHARE)).slice(0, BUDGETS);
  const results = budgets.map((budgetBytes) => {
    const start = performance.now();
    const { gap } = allocate({ items, budgetBytes });
    return { gap, ms: performance.now() - start };
  });
  const gaps = results.map(({ gap }) => gap).sort((a, b) => a - b);
  const times = results.map(({ ms }) => ms).sort((a, b) => a - b);
  const proven = gaps.filter((gap) => gap === 0).length;
  const cells = [
    label,
    `${items.length} × ${items[0]?.options.length}`,
    `${proven}/${gaps.length}`,
    at(gaps, 0.5).toExponential(1),
    at(gaps, 1).toExponential(1),
    at(times, 0.5).toFixed(0),
    at(times, 1).toFixed(0),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
