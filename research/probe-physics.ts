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
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { openFileSite } from "../src/probes/file-site.ts";
import { meanOfChunks, measureChunks } from "../src/probes/measure-probe.ts";
import { probeParts } from "../src/probes/probe-group.ts";
import { openProbeSite, type ProbeSite, type ProbeSiteRequest } from "../src/probes/probe-site.ts";
import { readProbeText } from "../src/probes/probe-text.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { text: { type: "string" }, context: { type: "string", default: "256" } },
});
const [model] = positionals;
if (model === undefined) throw new Error("give a model");
const context = Number(values.context);
const work = await mkdtemp(join(tmpdir(), "prism-physics-"));
const scratch = join(work, "scratch");
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: scratch });
const source = await openLocalModel(model);
const analysis = await analyze(source, {}, bench);
const request: ProbeSiteRequest = {
  analysis,
  context,
  scratch,
  textOf: (loaded) =>
    readProbeText(loaded, source, { context, text: values.text, textChunks: 32, trialChunks: 0 }, bench),
};
const inPlace = await openProbeSite(source, request, bench);
const asFiles = await openFileSite(source, request, bench);
console.log(`${cpus()[0]?.model}, llama.cpp ${bench.engine.info.version}, ${basename(model)}\n`);
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
  await Promise.all([source.close(), bench.close()]);
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

async function degrade(site: ProbeSite, members: readonly TensorAnalysis[], type: TensorType) {
  const parts = probeParts(members, type);
  const types = new Map(parts.map(({ tensor, type: own }) => [tensor.name, own]));
  const all = { first: 0, end: site.text.probes.chunks };
  const { kld } = meanOfChunks(await measureChunks(site, types, all, bench.signal));
  const distortion = parts.reduce((total, part) => total + part.tensor.elements * part.distortion, 0);
  return { kld, distortion };
}

function exponent(a: { kld: number; distortion: number }, b: { kld: number; distortion: number }): number {
  return Math.log(b.kld / a.kld) / Math.log(b.distortion / a.distortion);
}
