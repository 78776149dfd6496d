/**
 * How ln density (KLD per weight) varies over the tensors of measured models: between the means of classes, within
 * classes along the depth, and between neighbouring layers. The standard deviations the fit of probes begins with
 * (SPREAD, src/probes/probe-kernel.ts) are medians of these. `npx tsx research/density-spread.ts FOLDER`, with single-tensor
 * KL divergences derived from Thireus' GGUF Tool Suite and its contributors (MIT); they are not in the repository.
 */
import { readMeasuredModels } from "./measured-kld.ts";

/** Classes of fewer layers say little of the depth. */
const LEAST_LAYERS = 8;

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("give the folder of measured models");
console.log("| model | tensors | between classes | within a class | neighbours | a quarter of the depth apart |");
console.log("|---|---|---|---|---|---|");
for (const { name, analysis, kld, seen } of readMeasuredModels(folder)) {
  const classes = new Map<string, { layer: number; value: number }[]>();
  for (const tensor of analysis.tensors) {
    const own = kld.get(tensor.name);
    if (own === undefined || !(own > 0) || !seen.has(tensor.name)) continue;
    const members = classes.get(tensor.class) ?? [];
    members.push({ layer: tensor.layer ?? 0, value: Math.log(own / tensor.elements) });
    classes.set(tensor.class, members);
  }
  const all = [...classes.values()].map((members) => members.sort((a, b) => a.layer - b.layer));
  const deep = all.filter((members) => members.length >= LEAST_LAYERS);
  const cells = [
    deviation(all.map((members) => mean(members.map(({ value }) => value)))),
    Math.sqrt(mean(deep.map((members) => deviation(members.map(({ value }) => value)) ** 2))),
    Math.sqrt(mean(deep.map((members) => semivariance(members, 1)))),
    Math.sqrt(mean(deep.map((members) => semivariance(members, Math.floor(members.length / 4))))),
  ];
  const tensors = all.reduce((sum, members) => sum + members.length, 0);
  console.log(`| ${[name, tensors, ...cells.map((cell) => cell.toFixed(2))].join(" | ")} |`);
}

/** Half the mean squared difference of values so many places apart. */
function semivariance(members: readonly { value: number }[], apart: number): number {
  return mean(members.slice(apart).map(({ value }, index) => (value - (members[index]?.value ?? value)) ** 2 / 2));
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
