/**
 * How much each of the seven metrics says of a tensor's sensitivity beside its class and its distortion: correlation
 * with ln density within classes, per model, from probes of every tensor (research/data/books-probes.json); and what is
 * left of it when the layer, which goes with both, is held fixed.
 * `npx tsx research/metrics.ts [--probes FILE] [--threads 1] MODEL...`, models named as in the probes.
 */
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { openBench } from "../src/open-bench.ts";
import { analyzeModel, readProbes } from "./bench-models.ts";
import { correlate, layersWithinClass, logDensities, WITHIN_CLASS, withinClass } from "./within-class.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { probes: { type: "string" }, threads: { type: "string", default: "1" } },
});
const bench = await openBench({ threads: Number(values.threads), backend: "reference" });
const probes = await readProbes(values.probes);
try {
  const columns = await Promise.all(
    positionals.map(async (path) => {
      const analysis = await analyzeModel(path, {}, bench);
      const measured = logDensities(analysis, probes.models[basename(path, ".gguf")]?.tensors ?? {});
      return { scores: withinClass(analysis), measured, layers: layersWithinClass(analysis) };
    }),
  );
  console.log("rho within classes, rho with the layer held fixed\n");
  console.log(`| metric | ${positionals.map((path) => basename(path, ".gguf")).join(" | ")} |`);
  console.log(`|---|${"---|".repeat(positionals.length)}`);
  for (const metric of Object.keys(WITHIN_CLASS)) {
    const cells = columns.map(({ scores, measured, layers }) => {
      const own = scores.get(metric) ?? new Map<string, number>();
      const { rho, tensors } = correlate(own, measured);
      const [byLayer, withLayer] = [correlate(layers, measured).rho, correlate(own, layers).rho];
      const partial = (rho - byLayer * withLayer) / Math.sqrt((1 - byLayer ** 2) * (1 - withLayer ** 2));
      return `${rho.toFixed(2)}, ${partial.toFixed(2)} (${tensors} tensors)`;
    });
    console.log(`| ${[metric, ...cells].join(" | ")} |`);
  }
  const byLayer = columns.map(({ layers, measured }) => correlate(layers, measured).rho.toFixed(2));
  console.log(`| the layer's number | ${byLayer.join(" | ")} |`);
} finally {
  await bench.close();
}
