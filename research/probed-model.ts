/**
 * A model whose tensors were probed by research/probe-tensors.ts, as the judge needs it: with its own distortion. In: the
 * analysis that `prism analyze` wrote, named as the model is in research/data/books-probes.json.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { readProbes } from "./bench-models.ts";
import type { MeasuredModel } from "./measured-kld.ts";
import type { ProbedModel } from "./within-class.ts";

/** Read one. KLD is divided by the distortion that the probe caused: types are compared by D, as among Gaussian weights. */
export async function readProbedModel(path: string): Promise<MeasuredModel & ProbedModel> {
  const name = basename(path, ".json");
  const { probeType, models } = await readProbes();
  const probes = models[name]?.tensors;
  if (probes === undefined) throw new Error(`no probes of ${name}`);
  const kld = Object.entries(probes).map(([tensor, probe]): [string, number] => [tensor, probe.kld / probe.distortion]);
  return {
    name,
    analysis: readAnalysis(readFileSync(path, "utf8"), path),
    probes,
    probeType,
    kld: new Map(kld),
    seen: new Set(Object.keys(probes)),
  };
}
