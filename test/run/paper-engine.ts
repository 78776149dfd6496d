/**
 * A llama.cpp on paper: distortion falls by 4 per bit, quantized files are zeros of the right types, and the KL
 * divergence of a model falls with its bytes. Every call is counted, and one of them can be made to fail.
 */
import { stat, truncate } from "node:fs/promises";
import type { Bench } from "../../src/bench.ts";
import type { EmbeddedEngine } from "../../src/engine/embedded.ts";
import type { LoadedModel, LoadedRanker, QuantizeJob, RoundTripJob } from "../../src/engine/engine.ts";
import { logitsFileBytes, scoredTokens } from "../../src/engine/logits-file.ts";
import { ineligibleReason } from "../../src/ggml/eligibility.ts";
import { stockTypes } from "../../src/ggml/stock-mix.ts";
import { bitsPerWeight, type TensorType } from "../../src/ggml/tensor-types.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import type { Backend } from "../../src/kernels/backend.ts";
import { assignByPatterns } from "../../src/plan/patterns.ts";
import { createRandom, seedFromName } from "../../src/random.ts";
import { testBench } from "../bench.ts";
import { readModel, writePaperModel } from "../quantize/paper-model.ts";

export type PaperEngine = EmbeddedEngine & {
  /** "quantize plan.gguf", "load plan.gguf", "score plan.gguf 0", "roundTrip", "tokenize", "sampled importance". */
  readonly calls: string[];
};

const VOCABULARY = 16;
const CHUNKS_PER_BATCH = 8;

/** `onCall` is told each call before it is done, with its number; it may throw. */
export function paperEngine(onCall: (call: string, number: number) => void = () => undefined): PaperEngine {
  const calls: string[] = [];
  const note = (call: string) => {
    calls.push(call);
    onCall(call, calls.length);
  };
  return {
    calls,
    info: { kind: "embedded", version: "paper", origin: "test", devices: [] },
    close: () => Promise.resolve(),
    async quantize(job) {
      note(`quantize ${outputName(job)}`);
      await writePaperModel(job.source, job.output, await typesOf(job), job.imatrix, job.notes);
      return { tensors: [] };
    },
    library: {
      async loadRanker({ model }) {
        note(`load ${baseName(model)}`);
        return loadRanker((await stat(model)).size, note);
      },
      async roundTrip(job) {
        note("roundTrip");
        return roundTrip(job);
      },
      async rewrite() {
        note("rewrite");
      },
      tryLoad: async () => ({ loads: true }),
      async load({ model }) {
        note(`load ${baseName(model)}`);
        return loadModel(model, (await stat(model)).size, note);
      },
    },
  };
}

/** What an aborted signal throws, for an engine that is interrupted in a call. */
export const interruption = () => new DOMException("interrupted", "AbortError");

/** How an interruption shows where a stage rejects with it. */
export const INTERRUPTED = { name: "AbortError" } as const;

/** A bench on which nothing is computed in earnest. */
export function paperBench(engine: PaperEngine, overrides: Partial<Omit<Bench, "engine">> = {}): Bench {
  return testBench(engine, { backend: async () => paperBackend, ...overrides });
}

/** All weights are 0, so there are no metrics. */
export const paperBackend: Backend = {
  name: "reference",
  description: "on paper",
  moments: async ({ rows, columns }) => ({
    rowPower: new Float64Array(rows),
    columnPower: new Float64Array(columns),
    nonFinite: 0,
  }),
  osqe: async () => ({ power: 0, error: { 2: 0, 3: 0, 4: 0, 6: 0 }, boundary: { near: 0, expected: 0 } }),
  windowEigenvalues: async (_matrix, size, offsets) => offsets.map(() => new Float64Array(size)),
  sigmaMax: async () => 0,
  close: () => Promise.resolve(),
};

function roundTrip({ data, rowElements, sourceType, bandRows, types }: RoundTripJob) {
  const rows = data.length / ((bitsPerWeight(sourceType) / 8) * rowElements);
  const bands = Math.ceil(rows / bandRows);
  const perBand = (value: number) => new Float64Array(bands).fill(value);
  return {
    power: perBand(1),
    error: Object.fromEntries(types.map((type) => [type, perBand(4 ** -bitsPerWeight(type))])),
    nonFinite: 0,
  };
}

async function typesOf({ source, fileType, overrides }: QuantizeJob): Promise<ReadonlyMap<string, TensorType>> {
  const model = await readModel(source);
  if (overrides.length === 0) return stockTypes(readFacts(model), model.tensors, fileType);
  const eligible = model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined);
  return assignByPatterns(
    eligible.map(({ name }) => name),
    overrides,
  );
}

/** Width of its vectors. */
const DIMENSIONS = 8;

/** A model whose vectors are random by their text, and off by as much as its file is small. */
function loadRanker(fileBytes: number, note: (call: string) => void): LoadedRanker {
  return {
    vocabSize: VOCABULARY,
    contextTrain: 64,
    joints: {},
    encode: async (texts) => texts.map((text) => Int32Array.from(text, (char) => char.charCodeAt(0) % VOCABULARY)),
    detokenize: async (ids) => [...ids].join(" "),
    async pool(prompts, { pooling }) {
      note(`pool ${prompts.length} ${pooling}`);
      return prompts.map((ids) => {
        const random = createRandom(seedFromName(ids.join(), 1));
        const noise = createRandom(seedFromName(ids.join(), 2));
        return Float32Array.from({ length: DIMENSIONS }, () => random() - 0.5 + (2e3 / fileBytes) * (noise() - 0.5));
      });
    },
    nextLogits: () => Promise.reject(new Error("no reranker")),
    close: () => Promise.resolve(),
  };
}

function loadModel(path: string, fileBytes: number, note: (call: string) => void): LoadedModel {
  return {
    vocabSize: VOCABULARY,
    addBos: true,
    bos: 1,
    contextTrain: 64,
    chunksPerBatch: CHUNKS_PER_BATCH,
    async tokenize(text) {
      note("tokenize");
      return Int32Array.from(text, (char) => char.charCodeAt(0) % VOCABULARY);
    },
    detokenize: async (ids) => [...ids].join(" "),
    async sample({ sequences, length, seed }) {
      note("sample");
      const random = createRandom(seed);
      return Int32Array.from({ length: sequences * length }, () => Math.floor(random() * VOCABULARY));
    },
    rewrite: async () => undefined,
    joints: {},
    async time({ generated }) {
      note(`time ${path}`);
      return { promptMs: 1, generated, generationMs: 1 };
    },
    pool: (prompts, { pooling }) => loadRanker(fileBytes, note).pool(prompts, { pooling }),
    async importance({ tokens, head }) {
      note(`importance ${tokens.chunks}`);
      return onesOf(path, tokens.ids.length, head);
    },
    async sampledImportance({ chunks, context, head }) {
      note("sampled importance");
      return onesOf(path, chunks * context, head);
    },
    async collectInputs({ weights, texts }) {
      note(`inputs of ${weights.length}, ${texts.length} kinds`);
      return weights;
    },
    async chooseCodes({ output, tensors }) {
      note(`codes of ${baseName(output).replace(/^\.(.+)\.\d+\.[\w-]+\.part$/, "$1")}`);
      return tensors.map(({ name }) => ({ name, ratio: 0.7, shrinkage: 0.25 }));
    },
    async measureGains({ candidates }) {
      note(`gains of ${candidates.length}`);
      return candidates.map(({ name, types }) => ({
        name,
        ratios: Object.fromEntries(types.map((type) => [type, 0.7])),
      }));
    },
    async score({ tokens, first, count, writeLogits }) {
      note(`score ${baseName(path)} ${first}`);
      // logits on paper: zeros as far as the file goes
      if (writeLogits !== undefined) await truncate(writeLogits, logitsFileBytes({ ...tokens, vocabSize: VOCABULARY }));
      const values = (scale: number) => {
        const random = createRandom(seedFromName("noise", first));
        return Float64Array.from(
          { length: count * scoredTokens(tokens.context) },
          () => scale * (0.9 + 0.2 * random()),
        );
      };
      return {
        nll: values(2 + 1e3 / fileBytes),
        referenceNll: values(2),
        kld: values(1e3 / fileBytes),
        sameTop: new Uint8Array(count * scoredTokens(tokens.context)).fill(1),
      };
    },
    close: () => Promise.resolve(),
  };
}

/** Sums of inputs that are all 1. */
async function onesOf(path: string, rows: number, head = false) {
  const { tensors } = await readModel(path);
  const seen = tensors.filter(({ name }) => name.startsWith("blk.") || (head && name === "output.weight"));
  const entry = ([width = 0]: readonly number[]) => ({
    sums: new Float32Array(width).fill(rows),
    counts: Float64Array.of(rows),
  });
  return new Map(seen.map(({ name, shape }) => [name, entry(shape)]));
}

const outputName = ({ output }: QuantizeJob) => baseName(output).replace(/^\.(.+)\.\d+\.[\w-]+\.part$/, "$1");

const baseName = (path: string) => path.replace(/^.*[/\\]/, "");
