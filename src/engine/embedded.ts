/**
 * The embedded engine: llama.cpp from npm, in child processes. Round trips are spread over a pool of children, one per
 * thread; quantizing and evaluating have a child of their own, which uses all threads inside ggml.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError, FormatError } from "../errors.ts";
import { parseTensorType } from "../ggml/tensor-types.ts";
import type { ScoreReply, ScoreRequest } from "./child/loaded-model.ts";
import type { QuantizeRequest } from "./child/quantize.ts";
import { EngineChild } from "./child-process.ts";
import type {
  Engine,
  EngineInfo,
  LoadedModel,
  ModelLoadOptions,
  QuantizeJob,
  QuantizeOutcome,
  RoundTripJob,
  RoundTripResult,
  ScoreOptions,
  TokenScores,
} from "./engine.ts";
import { logitsOffset } from "./logits-file.ts";
import { describePackage, type EnginePackage, findEnginePackage, LLAMA_VERSION } from "./package.ts";
import { parseQuantizeLog } from "./quantize-log.ts";

export interface EmbeddedOptions {
  readonly threads: number;
  /** Layers to put on a GPU; anything but 0 looks for a GPU build of the package. */
  readonly gpuLayers?: number;
}

/** Start the embedded engine. Throws EngineError (missing) where the package is not there or not the pinned version. */
export async function openEmbeddedEngine(options: EmbeddedOptions): Promise<Engine> {
  const found = findEnginePackage({ gpu: (options.gpuLayers ?? 0) !== 0 });
  const model = new EngineChild(found);
  const devices = await model.call<string[]>("devices", undefined);
  const info: EngineInfo = { kind: "embedded", version: LLAMA_VERSION, origin: describePackage(found), devices };
  const pool = createRoundTripPool(found, options.threads);
  return {
    info,
    roundTrip: (job) => pool.run(job),
    quantize: (job) => quantize(model, job),
    load: (load) => loadModel(model, load),
    perplexity: () =>
      Promise.reject(new EngineError("the embedded engine scores loaded models; perplexity() is for programs")),
    async close() {
      await Promise.all([model.close(), pool.close()]);
    },
  };
}

function createRoundTripPool(found: EnginePackage, size: number) {
  const children = Array.from({ length: Math.max(1, size) }, () => new EngineChild(found));
  const idle = [...children];
  const waiting: ((child: EngineChild) => void)[] = [];
  return {
    async run(job: RoundTripJob): Promise<RoundTripResult> {
      const child = idle.pop() ?? (await new Promise<EngineChild>((resolve) => waiting.push(resolve)));
      try {
        return await child.call<RoundTripResult>("roundTrip", job);
      } finally {
        const next = waiting.shift();
        if (next === undefined) idle.push(child);
        else next(child);
      }
    },
    async close(): Promise<void> {
      await Promise.all(children.map((child) => child.close()));
    },
  };
}

async function quantize(child: EngineChild, job: QuantizeJob): Promise<QuantizeOutcome> {
  const lines: string[] = [];
  const request: QuantizeRequest = {
    source: job.source,
    // A dry run writes nothing, but the library still wants a name that is not the source's.
    output: job.dryRun ? join(tmpdir(), "prism-dry-run.gguf") : job.output,
    fileType: job.fileType,
    overrides: job.overrides,
    threads: job.threads,
    dryRun: job.dryRun ?? false,
    allowRequantize: job.allowRequantize ?? false,
    fixAlignment: job.fixAlignment ?? false,
    ...(job.imatrix === undefined ? {} : { imatrix: job.imatrix }),
  };
  const code = await child.call<number>("quantize", request, {
    ...(job.signal === undefined ? {} : { signal: job.signal }),
    onLog(line) {
      lines.push(line);
      const progress = /^\[\s*(\d+)\/\s*(\d+)\]/.exec(line);
      if (progress !== null) job.onProgress?.(Number(progress[1]), Number(progress[2]));
    },
  });
  if (code !== 0) {
    throw new EngineError(`llama.cpp could not quantize ${job.source}`, { logTail: lines.slice(-12) });
  }
  return parseQuantizeLog(lines, parseTensorType);
}

interface LoadReply {
  readonly handle: number;
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  readonly chunksPerBatch: number;
}

/** Handles of loaded models inside the child, so that one can be another's reference. */
const handles = new WeakMap<LoadedModel, number>();

async function loadModel(child: EngineChild, options: ModelLoadOptions): Promise<LoadedModel> {
  const { model, context, threads, gpuLayers } = options;
  const reply = await child.call<LoadReply>(
    "load",
    { model, context, threads, gpuLayers },
    options.signal === undefined ? {} : { signal: options.signal },
  );
  const { handle } = reply;
  const generation = child.generation;
  const loaded: LoadedModel = {
    vocabSize: reply.vocabSize,
    addBos: reply.addBos,
    bos: reply.bos,
    contextTrain: reply.contextTrain,
    chunksPerBatch: reply.chunksPerBatch,
    tokenize: (text) => child.call("tokenize", { handle, text }),
    detokenize: (ids) => child.call("detokenize", { handle, ids }),
    sample: ({ sequences, length, seed, signal, onProgress }) =>
      child.call(
        "sample",
        { handle, sequences, length, seed },
        {
          ...(signal === undefined ? {} : { signal }),
          ...(onProgress === undefined ? {} : { onProgress: (done) => onProgress(done, length) }),
        },
      ),
    score: (score) => scoreChunks(child, handle, reply.vocabSize, model, score),
    async close() {
      if (child.generation === generation) await child.call("unload", handle);
    },
  };
  handles.set(loaded, handle);
  return loaded;
}

async function scoreChunks(
  child: EngineChild,
  handle: number,
  vocabSize: number,
  path: string,
  options: ScoreOptions,
): Promise<TokenScores> {
  const { tokens, first, count, reference } = options;
  const { context } = tokens;
  const offset = logitsOffset({ context, chunks: tokens.chunks, vocabSize }, first);
  const request: ScoreRequest = {
    context,
    count,
    ids: tokens.ids.slice(first * context, (first + count) * context),
    ...(options.writeLogits === undefined ? {} : { writeLogits: { path: options.writeLogits, offset } }),
    ...(reference !== undefined && "logits" in reference ? { readLogits: { path: reference.logits, offset } } : {}),
  };
  const referenceHandle = reference !== undefined && "loaded" in reference ? handles.get(reference.loaded) : undefined;
  const scores = await child.call<ScoreReply>(
    "score",
    { handle, request, ...(referenceHandle === undefined ? {} : { reference: referenceHandle }) },
    options.signal === undefined ? {} : { signal: options.signal },
  );
  if (scores.nll.some(Number.isNaN)) {
    throw new FormatError(
      path,
      "the model's logits are NaN: its weights or scales are damaged; quantize or convert it again",
    );
  }
  return scores;
}
