/**
 * The child process that runs llama.cpp. It answers one request after another, in the order they were sent; long calls
 * block it on purpose, since an assert in ggml ends this process and nothing else. The library logs to stderr, which
 * the parent reads.
 */
import "./load-koffi.ts";
import { readFileSync, writeSync } from "node:fs";
import type { NativeLibrary } from "../../kernels/native-library.ts";
import { createRandom, seedFromName } from "../../random.ts";
import type { GpuDevice, RewriteJob, RoundTripJob, RoundTripResult, SamplingFolder } from "../engine.ts";
import { LOG_END } from "../log-end.ts";
import type { EnginePackage } from "../package.ts";
import type { CodesCall } from "./choose-codes.ts";
import { drawTokens, nativeTokenDrawer, type TokenDrawer } from "./draw-tokens.ts";
import { type EncodeCall, encodeRows } from "./encode.ts";
import { openEngineKernels } from "./engine-kernels.ts";
import { type FeedbackKernels, typescriptFeedback } from "./feedback.ts";
import { type LlamaLibrary, openLlamaLibrary } from "./llama-library.ts";
import {
  type InputsCall,
  type LoadCall,
  LoadedModelHandle,
  type PoolCall,
  type SeeCall,
  type TimeCall,
} from "./loaded-model.ts";
import type { GainsCall } from "./measure-gains.ts";
import { type MeasureMemoryCall, type MeasureMemoryReply, measureMemory } from "./measure-memory.ts";
import { openMtmdLibrary } from "./mtmd-library.ts";
import { nativeFeedback } from "./native-feedback.ts";
import { nativeRoundTrip } from "./native-round-trip.ts";
import { watchParent } from "./parent-watch.ts";
import type { LogitsAsked } from "./prompt-batches.ts";
import { type QuantizeCall, quantize } from "./quantize.ts";
import { rewrite } from "./rewrite.ts";
import { roundTrip } from "./round-trip.ts";
import { type ScoreReply, type ScoreRequest, scoreChunks } from "./score-chunks.ts";
import { createScorePool, type ScorePool } from "./score-pool.ts";
import { type TryLoadCall, type TryLoadReply, tryLoad } from "./try-load.ts";

export interface Request {
  readonly id: number;
  readonly method: keyof typeof methods;
  readonly args: unknown;
}

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly progress: number }
  | { readonly id: number; readonly note: string };

interface SampleRequest {
  readonly handle: number;
  readonly sequences: number;
  readonly length: number;
  readonly seed: number;
  readonly kept?: SamplingFolder;
}

interface ImportanceRequest {
  readonly handle: number;
  readonly ids: Int32Array;
  readonly context: number;
  readonly head: boolean;
}

interface SampledImportanceRequest {
  readonly handle: number;
  readonly chunks: number;
  readonly together: number;
  readonly context: number;
  readonly seed: number;
  readonly head: boolean;
}

interface EncodeRequest {
  readonly handle: number;
  readonly texts: readonly string[];
  readonly addSpecial: boolean;
  readonly parseSpecial: boolean;
}

export interface Device extends GpuDevice {
  readonly isGpu: boolean;
}

/** `enum ggml_backend_dev_type`. */
const GPU_DEVICE = 1;
const INTEGRATED_GPU = 2;

const STDERR = 2;

let library: LlamaLibrary;
let nativeKernels: NativeLibrary | string | undefined;
let pool: ScorePool | undefined;
let backendsLoaded = false;
const models = new Map<number, LoadedModelHandle>();

const methods = {
  open(found: EnginePackage): { version: string } {
    library = openLlamaLibrary(found);
    return { version: library.version() };
  },
  devices(): Device[] {
    loadBackends();
    return Array.from({ length: Number(library.deviceCount()) }, (_, index) => {
      const device = library.device(index);
      const type = library.deviceType(device);
      const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
      library.deviceMemory(device, free, total);
      return {
        name: library.deviceName(device),
        description: library.deviceDescription(device),
        isGpu: type === GPU_DEVICE || type === INTEGRATED_GPU,
        integrated: type === INTEGRATED_GPU,
        freeBytes: Number(free[0]),
        totalBytes: Number(total[0]),
      };
    });
  },
  /** Which of ggml's builds for processors is mapped into this process, where the system lists that. */
  cpuBuild(): string | undefined {
    loadBackends();
    try {
      return /libggml-cpu-(\w+)\.so/.exec(readFileSync("/proc/self/maps", "utf8"))?.[1];
    } catch {
      return undefined;
    }
  },
  /** Why round trips and scores run in TypeScript, or what runs them instead. */
  async kernels(): Promise<string> {
    const found = await kernels();
    return typeof found === "string" ? `TypeScript: ${found}` : `C++, ${found.isa}`;
  },
  async roundTrip(job: RoundTripJob): Promise<RoundTripResult> {
    const found = await kernels();
    return typeof found === "string" ? roundTrip(library, job) : nativeRoundTrip(found, library, job);
  },
  encodeRows: (call: EncodeCall) => encodeRows(library, call),
  rewrite: (job: RewriteJob) => rewrite(library, job),
  rewriteLoaded: ({ handle, ...job }: Omit<RewriteJob, "to"> & { handle: number }) => model(handle).rewrite(job),
  quantize(request: QuantizeCall): number {
    watchParent();
    library.backendInit();
    return quantize(library, request);
  },
  async load(request: LoadCall & { context: number }) {
    watchParent();
    loadBackends();
    const found = await kernels();
    pool ??= createScorePool(request.threads, typeof found === "string" ? undefined : found);
    const model = new LoadedModelHandle(library, request);
    models.set(request.handle, model);
    const { vocabSize, addBos, bos, contextTrain } = model;
    return { vocabSize, addBos, bos, contextTrain, chunksPerBatch: model.chunksPerBatch(request.context) };
  },
  tryLoad(request: TryLoadCall): TryLoadReply {
    watchParent();
    loadBackends();
    return tryLoad(library, request);
  },
  measureMemory(request: MeasureMemoryCall): MeasureMemoryReply {
    watchParent();
    loadBackends();
    return measureMemory(library, request);
  },
  unload(handle: number): void {
    model(handle).close();
    models.delete(handle);
  },
  tokenize: ({ handle, text }: { handle: number; text: string }) => model(handle).tokenize(text),
  detokenize: ({ handle, ids }: { handle: number; ids: Int32Array }) => model(handle).detokenize(ids),
  joints: (handle: number) => model(handle).joints(),
  encode: ({ handle, texts, addSpecial, parseSpecial }: EncodeRequest) =>
    texts.map((text) => model(handle).encode(text, addSpecial, parseSpecial)),
  pool: ({ handle, ...call }: { handle: number } & PoolCall) => model(handle).poolPrompts(call),
  nextLogits: ({ handle, prompts, ...asked }: { handle: number; prompts: readonly Int32Array[] } & LogitsAsked) =>
    model(handle).nextLogits(prompts, asked),
  tryVision(path: string): string {
    openMtmdLibrary(path);
    return path;
  },
  see: ({ handle, ...call }: { handle: number } & SeeCall) => model(handle).see(call),
  async score(args: { handle: number; request: ScoreRequest; reference?: number }): Promise<ScoreReply> {
    const reply = await scoreChunks({
      model: model(args.handle),
      reference: args.reference === undefined ? undefined : model(args.reference),
      pool: pool as ScorePool,
      request: args.request,
    });
    return unshared(reply);
  },
  async collectInputs({ handle, ...call }: InputsCall & { handle: number }, id: number) {
    const kernels = await feedbackKernels(handle);
    return model(handle).collectInputs(
      kernels,
      call,
      (done) => report(id, done),
      (text) => note(id, text),
    );
  },
  async chooseCodes({ handle, ...call }: CodesCall & { handle: number }, id: number) {
    const kernels = await feedbackKernels(handle);
    return model(handle).chooseCodes(
      kernels,
      call,
      (done) => report(id, done),
      (text) => note(id, text),
    );
  },
  async measureGains({ handle, ...call }: GainsCall & { handle: number }, id: number) {
    return model(handle).measureGains(await feedbackKernels(handle), call, (done) => report(id, done));
  },
  time: ({ handle, ...call }: TimeCall & { handle: number }) => model(handle).time(call),
  importance({ handle, ids, context, head }: ImportanceRequest, id: number) {
    return model(handle).collectImportance(ids, context, head, (done) => report(id, done));
  },
  async sample({ handle, sequences, length, seed, kept }: SampleRequest, id: number): Promise<Int32Array> {
    const draw = await tokenDrawer(handle);
    return model(handle).sample(length, sequenceRandoms(sequences, seed), draw, {
      kept,
      onStep: (done) => report(id, done),
      note: (text) => note(id, text),
    });
  },
  async sampledImportance({ handle, chunks, together, context, seed, head }: SampledImportanceRequest, id: number) {
    const draw = await tokenDrawer(handle);
    const batches = Array.from({ length: Math.ceil(chunks / together) }, (_, batch) =>
      sequenceRandoms(Math.min(together, chunks - batch * together), seedFromName(`batch ${batch}`, seed)),
    );
    return model(handle).collectSampled(context, batches, draw, head, (done) => report(id, done));
  },
};

function sequenceRandoms(sequences: number, seed: number): (() => number)[] {
  return Array.from({ length: sequences }, (_, index) => createRandom(seedFromName(`sequence ${index}`, seed)));
}

async function tokenDrawer(handle: number): Promise<TokenDrawer> {
  const native = await kernels();
  return typeof native === "string" ? drawTokens : nativeTokenDrawer(native, model(handle).threads);
}

/** The native kernels, checked when they are first needed, or why there are none. */
async function kernels(): Promise<NativeLibrary | string> {
  nativeKernels ??= await openEngineKernels(library);
  return nativeKernels;
}

/** In C++ where that is there. */
async function feedbackKernels(handle: number): Promise<FeedbackKernels> {
  const found = await kernels();
  return typeof found === "string"
    ? typescriptFeedback(library)
    : nativeFeedback(found, library, model(handle).threads);
}

function model(handle: number): LoadedModelHandle {
  const found = models.get(handle);
  if (found === undefined) throw new Error("this model is not loaded");
  return found;
}

function report(id: number, progress: number): void {
  process.send?.({ id, progress } satisfies Reply);
}

function note(id: number, text: string): void {
  process.send?.({ id, note: text } satisfies Reply);
}

function loadBackends(): void {
  if (backendsLoaded) return;
  library.loadBackends(library.dir);
  library.backendInit();
  backendsLoaded = true;
}

/** Shared memory can't leave the process: reply with copies. */
function unshared(reply: ScoreReply): ScoreReply {
  return {
    nll: reply.nll.slice(),
    ...(reply.referenceNll === undefined ? {} : { referenceNll: reply.referenceNll.slice() }),
    ...(reply.kld === undefined ? {} : { kld: reply.kld.slice() }),
    ...(reply.sameTop === undefined ? {} : { sameTop: reply.sameTop.slice() }),
  };
}

async function answer({ id, method, args }: Request): Promise<void> {
  const reply = await perform(id, method, args);
  // Not process.stderr: opening that makes the pipe non-blocking, and then the library's own writes lose lines.
  writeSync(STDERR, `\n${LOG_END} ${id}\n`);
  process.send?.(reply);
}

async function perform(id: number, method: Request["method"], args: unknown): Promise<Reply> {
  try {
    return { id, result: await (methods[method] as (args: unknown, id: number) => unknown)(args, id) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

let answered: Promise<void> = Promise.resolve();
process.on("message", (request: Request) => {
  answered = answered.then(() => answer(request));
});
process.on("disconnect", () => process.exit(0));
// The terminal sends Ctrl-C to the whole process group; the parent decides when this process ends.
process.on("SIGINT", () => undefined);
