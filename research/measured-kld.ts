/**
 * Measured single-tensor KL divergences as the judge needs them. In: a folder with one JSON per model (tensor list and
 * `probeKld[type][tensor]`), derived from the calibration data of the GGUF Tool Suite by Thireus and contributors
 * (https://github.com/Thireus/GGUF-Tool-Suite, MIT); it is not part of this repository. Out: an analysis of each model
 * with the distortion of Gaussian weights, and the KLD each tensor causes by itself.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Analysis, Estimate, TensorAnalysis } from "../src/analyze/analysis.ts";
import { candidateTypes } from "../src/ggml/candidates.ts";
import { leftAloneReason } from "../src/ggml/eligibility.ts";
import type { ModelFacts } from "../src/ggml/model-facts.ts";
import { tensorClass } from "../src/ggml/tensor-class.ts";
import { parseTensorType, type TensorType } from "../src/ggml/tensor-types.ts";
import { readArchitecture } from "../test/fixtures/architectures.ts";
import { ownKld } from "./probe-floor.ts";

/** Relative squared error of independent Gaussian weights, 256 rows of 1024, by ggml's own round trip (v0.5.0). */
export const GAUSSIAN_DISTORTION: Readonly<Partial<Record<TensorType, number>>> = {
  Q2_K: 8.82e-2,
  Q3_K: 2.28e-2,
  IQ3_S: 2.77e-2,
  IQ4_XS: 5.88e-3,
  IQ4_NL: 5.79e-3,
  Q4_0: 7.41e-3,
  Q4_1: 6.13e-3,
  Q4_K: 5.11e-3,
  Q5_0: 1.83e-3,
  Q5_1: 1.44e-3,
  Q5_K: 1.31e-3,
  Q6_K: 3.15e-4,
  Q8_0: 2.88e-5,
  F16: 4.27e-8,
};

/** One probed model. */
export interface MeasuredModel {
  readonly name: string;
  readonly analysis: Analysis;
  readonly probeType: string;
  /** KLD of each probed tensor by itself: noise floor subtracted, joint probes divided; nats. */
  readonly kld: ReadonlyMap<string, number>;
  /** The tensors whose own KLD was measured: probed, and large enough to be seen above the noise floor. */
  readonly seen: ReadonlySet<string>;
}

interface MeasuredFile {
  readonly model: string;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[];
  readonly probeKld: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly wholeKld: Readonly<Record<string, number>>;
}

/** Read every model of the folder, by name. */
export function readMeasuredModels(folder: string): MeasuredModel[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => readMeasured(basename(file, ".json"), readFileSync(join(folder, file), "utf8")));
}

function readMeasured(name: string, text: string): MeasuredModel {
  const file = JSON.parse(text) as MeasuredFile;
  const facts = factsOf(name, file);
  // no evaluation sees an MTP block: the judge leaves it out, as it does not enter the probes
  const trunk = file.tensors.filter((tensor) => (tensorClass(tensor.name).layer ?? 0) < facts.layers);
  const tensors = trunk.map(analyzed);
  const probeType = mildestProbe(file);
  const { kld, seen } = ownKld(file.probeKld[probeType] ?? {}, tensors);
  return { name, analysis: analysisOf(name, facts, tensors), probeType, kld, seen };
}

/** Of the types that every tensor was probed in, the one that harms the whole model least: nearest to real use. */
function mildestProbe({ probeKld, wholeKld }: MeasuredFile): string {
  const most = Math.max(...Object.values(probeKld).map((probes) => Object.keys(probes).length));
  const whole = Object.entries(probeKld).filter(([, probes]) => Object.keys(probes).length === most);
  const mildest = whole.sort(([a], [b]) => (wholeKld[a] ?? 0) - (wholeKld[b] ?? 0))[0];
  if (!mildest) throw new Error("a measured model without probes");
  return mildest[0];
}

function factsOf(name: string, { tensors }: MeasuredFile): ModelFacts {
  const { arch, keyValues } = readArchitecture(name.replace(/-Instruct$/, ""));
  const number = (key: string) => Number(keyValues.find((pair) => pair.key === `${arch}.${key}`)?.value ?? 0);
  return {
    arch,
    layers: number("block_count") - number("nextn_predict_layers"),
    nextnLayers: 0,
    heads: number("attention.head_count"),
    kvHeads: number("attention.head_count_kv"),
    experts: number("expert_count"),
    hasOutput: tensors.some((tensor) => tensor.name === "output.weight"),
    rankPooling: false,
    alignment: 32,
    vocabSize: 0,
    contextTrain: number("context_length"),
    outputHeaderBytes: 0,
  };
}

function analyzed(tensor: MeasuredFile["tensors"][number]): TensorAnalysis {
  const { name, shape, dtype } = tensor;
  const reason = leftAloneReason(tensor);
  const distortion: Partial<Record<TensorType, Estimate>> = {};
  for (const type of candidateTypes(tensor, { importance: false })) {
    const value = GAUSSIAN_DISTORTION[type];
    if (value !== undefined) distortion[type] = { value, se: 0 };
  }
  return {
    name,
    ...tensorClass(name),
    shape,
    elements: shape.reduce((product, n) => product * n, 1),
    sourceType: parseTensorType(dtype) ?? "BF16",
    eligible: reason === undefined,
    ...(reason === undefined ? { distortion } : { leftAloneReason: reason }),
  };
}

function analysisOf(name: string, facts: ModelFacts, tensors: readonly TensorAnalysis[]): Analysis {
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  return {
    schema: "prism.analysis/1",
    prismVersion: "judge",
    createdAt: new Date(0).toISOString(),
    model: {
      path: name,
      shards: [],
      arch: facts.arch,
      name,
      tensorCount: tensors.length,
      elements,
      fileBytes: 2 * elements,
      headerHash: "",
    },
    facts,
    engine: { version: "none", origin: "none" },
    backend: "none",
    sampling: {
      exactMetrics: false,
      exactDistortion: false,
      seed: 0,
      targetRelativeSe: 0,
      bytesRead: 0,
      elapsedMs: 0,
    },
    tensors,
    classes: [],
  };
}
