/**
 * How much each of the seven metrics says of a tensor's sensitivity beside its class and its distortion: correlation
 * with ln density within classes, per model, from probes of every tensor (bench/data/books-probes.json).
 * `npx tsx bench/metrics.ts [--probes FILE] [--threads 1] MODEL...`, models named as in the probes.
 */
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { openEngine } from "../src/engine/open-engine.ts";
import { analyzeModel, readProbes } from "./bench-models.ts";
import { correlate, logDensities, WITHIN_CLASS, withinClass } from "./within-class.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { probes: { type: "string" }, threads: { type: "string", default: "1" } },
});
const threads = Number(values.threads);
const engine = await openEngine({ threads });
const probes = await readProbes(values.probes);
try {
  const columns = await Promise.all(
    positionals.map(async (path) => {
      const analysis = await analyzeModel(path, { engine, threads, work: "" });
      const measured = logDensities(analysis, probes.models[basename(path, ".gguf")]?.tensors ?? {});
      return { scores: withinClass(analysis), measured };
    }),
  );
  console.log(`| metric | ${positionals.map((path) => basename(path, ".gguf")).join(" | ")} |`);
  console.log(`|---|${"---|".repeat(positionals.length)}`);
  for (const metric of Object.keys(WITHIN_CLASS)) {
    const cells = columns.map(({ scores, measured }) => {
      const { rho, tensors } = correlate(scores.get(metric) ?? new Map(), measured);
      return `${rho.toFixed(2)} (${tensors} tensors)`;
    });
    console.log(`| ${[metric, ...cells].join(" | ")} |`);
  }
} finally {
  await engine.close();
}
