/**
 * What a GPU does for PRISM, against the processor in the same run: exact metrics (WebGPU), evaluation and probes (a GPU
 * build of the engine), on whatever device there is; what can't be measured says why.
 * `npx tsx bench/gpu.ts MODEL [--threads N] [--tensors N] [--chunks 4] [--probe-chunks 2] [--parts metrics,evaluation,probes]`
 * A program that plays a GPU is measured too, and named as such. Generate a model with bench/generate-model.ts.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { measureEvaluation, openEngines } from "./gpu-evaluation.ts";
import { measureMetricsOnGpu } from "./gpu-metrics.ts";
import { measureProbes } from "./gpu-probes.ts";
import { machineName, recordResult } from "./results.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    tensors: { type: "string" },
    chunks: { type: "string", default: "4" },
    "probe-chunks": { type: "string", default: "2" },
    parts: { type: "string", default: "metrics,evaluation,probes" },
  },
});
const [model] = positionals;
if (model === undefined) {
  console.error(
    "usage: npx tsx bench/gpu.ts MODEL [--threads N] [--tensors N] [--chunks N] [--probe-chunks N] [--parts …]",
  );
  process.exit(2);
}
const threads = Number(values.threads);
const parts = new Set(values.parts.split(","));
const folder = await mkdtemp(join(tmpdir(), "prism-bench-gpu-"));
console.log(`${cpus()[0]?.model}, ${machineName()}, ${threads} threads; ${basename(model)}\n`);
const figures: Record<string, unknown> = { model: basename(model), threads };
try {
  if (parts.has("metrics")) {
    const tensors = values.tensors === undefined ? undefined : Number(values.tensors);
    figures.metrics = said("metrics", await measureMetricsOnGpu(model, { threads, tensors }));
  }
  const engines = await openEngines(threads);
  if (typeof engines === "string") said("evaluation and probes", engines);
  else {
    const place = { model, folder, engines };
    figures.devices = engines.gpu.info.devices;
    if (parts.has("evaluation")) figures.evaluation = await measureEvaluation(place, Number(values.chunks));
    if (parts.has("probes")) figures.probes = await measureProbes(place, Number(values["probe-chunks"]));
    await Promise.all([engines.gpu.close(), engines.processor.close()]);
  }
  await recordResult({ bench: "gpu", figures });
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Figures; or why there are none, which is printed. */
function said<Figures>(what: string, found: Figures | string): Figures | string {
  if (typeof found === "string") console.log(`${what}: not measured, ${found}\n`);
  return found;
}
