/**
 * What a probe rests on, measured on a model, a line for each class: how its KL divergence grows with the distortion
 * (exponent between types), whether its tensors' own KL divergences add up to it, and what really quantizing it, with
 * quantized activations, gives beside degrading its weights in place.
 * `npx tsx research/probe-physics.ts [--text FILE] [--context 256] MODEL`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import type { TensorAnalysis } from "../src/analyze/analysis.ts";
import { analyze } from "../src/analyze/analyze.ts";
import { openEngine } from "../src/engine/open-engine.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { readFacts } from "../src/gguf/facts.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import { openFileBench } from "../src/probes/file-bench.ts";
import { measureProbe } from "../src/probes/measure-probe.ts";
import { openProbeBench, type ProbeBench, type ProbeBenchOptions } from "../src/probes/probe-bench.ts";
import { probeParts } from "../src/probes/probe-group.ts";
import { readProbeText } from "../src/probes/probe-text.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { text: { type: "string" }, context: { type: "string", default: "256" } },
});
const [model] = positionals;
if (model === undefined) throw new Error("give a model");
const threads = 1;
const context = Number(values.context);
const engine = await openEngine({ threads });
const backend = referenceBackend({ threads });
const work = await mkdtemp(join(tmpdir(), "prism-physics-"));
const file = await openLocalModel(model);
const analysis = await analyze(file, readFacts(file.model), { engine, backend, seed: 0, threads });
await file.close();
const text = values.text === undefined ? {} : { text: values.text };
const options: ProbeBenchOptions = {
  engine,
  model,
  analysis,
  context,
  threads,
  gpuLayers: 0,
  scratch: join(work, "scratch"),
  textOf: (loaded) => readProbeText(loaded, { context, seed: 0, fingerprint: model, ...text }),
};
const inPlace = await openProbeBench(options);
const asFiles = await openFileBench(options);
console.log(`${cpus()[0]?.model}, llama.cpp ${engine.info.version}, ${basename(model)}\n`);
console.log(
  "| class | KLD at Q3_K | exponent Q3_K to Q2_K | exponent Q4_K to Q3_K | sum of tensors / class | file / in place |",
);
console.log("|---|---|---|---|---|---|");
try {
  const classes = new Map<string, TensorAnalysis[]>();
  for (const tensor of analysis.tensors.filter(({ eligible }) => eligible)) {
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), tensor]);
  }
  const figures = [];
  for (const [name, members] of classes) figures.push({ class: name, ...(await measureClass(members)) });
  for (const row of figures) {
    const cells = [row.coarser, row.finer, row.sum, row.file].map((value) => value.toFixed(2));
    console.log(`| ${[row.class, row.kld.toPrecision(3), ...cells].join(" | ")} |`);
  }
  await recordResult({ bench: "probe-physics", figures: { model: basename(model), classes: figures } });
} finally {
  await Promise.all([inPlace.close(), asFiles.close()]);
  await Promise.all([engine.close(), backend.close()]);
  await rm(work, { recursive: true, force: true });
}

async function measureClass(members: readonly TensorAnalysis[]) {
  const [q2, q3, q4] = [
    await degrade(inPlace, members, "Q2_K"),
    await degrade(inPlace, members, "Q3_K"),
    await degrade(inPlace, members, "Q4_K"),
  ];
  let sum = 0;
  for (const member of members) sum += (await degrade(inPlace, [member], "Q3_K")).kld;
  const real = await degrade(asFiles, members, "Q3_K");
  return {
    kld: q3.kld,
    coarser: exponent(q3, q2),
    finer: exponent(q4, q3),
    sum: sum / q3.kld,
    file: real.kld / q3.kld,
  };
}

async function degrade(bench: ProbeBench, members: readonly TensorAnalysis[], type: TensorType) {
  const parts = probeParts(members, type);
  const { kld } = await measureProbe(bench, new Map(parts.map(({ tensor, type: own }) => [tensor.name, own])));
  const distortion = parts.reduce((total, part) => total + part.tensor.elements * part.distortion, 0);
  return { kld, distortion };
}

function exponent(a: { kld: number; distortion: number }, b: { kld: number; distortion: number }): number {
  return Math.log(b.kld / a.kld) / Math.log(b.distortion / a.distortion);
}
