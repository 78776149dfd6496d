/**
 * Probes without files: on the processor a copy of the model is loaded as views of its files (mmap), so that tensors
 * written into the copy are what the loaded model computes with; elsewhere they are written to the devices they live on.
 * Neither a file is quantized nor a model loaded for a probe. Before the site is trusted, a degraded tensor must change
 * the scores, and putting it back must restore them to the bit.
 */
import { join } from "node:path";
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import { type LoadedModel, type RewrittenTensor, requireLibrary } from "../engine/engine.ts";
import { EngineError } from "../errors.ts";
import { isHead } from "../ggml/tensor-class.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import { kldMeter, referOnce } from "./meter.ts";
import type { OpenSite, ProbeCosts, ProbeSite, ProbeSiteRequest, ProbeTypes } from "./probe-site.ts";
import { linkModel } from "./writable-copy.ts";

/** Why this model can't be probed in place here. */
export class InPlaceRefused extends Error {}

/** Throws InPlaceRefused where the model, the engine or the platform does not allow it. */
export async function openInPlaceSite(source: OpenModel, request: ProbeSiteRequest, bench: Bench): Promise<OpenSite> {
  requireFloats(source.model);
  const meter = request.meter ?? kldMeter(source, bench);
  // beside programs the library stays on the processor
  const layers = bench.engine.programs === undefined ? bench.gpuLayers : 0;
  const loaded = await (layers === 0
    ? loadCopy(source, request, bench)
    : loadOnDevices(source, request, layers, bench));
  const { costs, close } = loaded;
  try {
    const text = await request.textOf(loaded.model());
    const refer = referOnce(async (tokens) => {
      const reference = await meter.refer(loaded.model(), tokens);
      // decoded anew it would be as degraded as what is compared with it; trials are compared while nothing is
      if (!reference.isKept && tokens === text.probes) {
        throw new InPlaceRefused("the reference's logits don't fit the disk");
      }
      return reference;
    });
    const degradeOn = degraderOf(loaded, request, source.model);
    const degrade = degradeOn(new Map());
    const hold: OpenSite["hold"] = (base, work) => degrade(base, () => work({ text, refer, degrade: degradeOn(base) }));
    const site: OpenSite = { kind: "in-place", costs, unit: meter.unit, text, refer, degrade, hold, close };
    await refer(text.probes);
    await checkSite(site, request);
    return site;
  } catch (error) {
    await close();
    throw error;
  }
}

function requireFloats({ tensors }: Model): void {
  const quantized = tensors.find(({ type }) => isQuantizedType(type));
  if (quantized === undefined) return;
  throw new InPlaceRefused(`${quantized.name} is quantized already, and has no room for what a type makes of it`);
}

/**
 * A thread degrades 20 million weights a second while it decodes 17 billion weights × tokens, so a chunk of 512 tokens is
 * worth a third of the model, of any size. A GPU decodes a hundred times as fast, and degrading stays on the processor.
 */
export const COSTS = {
  processor: { first: 1, each: 0.05, whole: 3.3 },
  device: { first: 4, each: 0.5, whole: 250 },
} as const satisfies Record<string, ProbeCosts>;

interface LoadedSite {
  /** Another one after `prepare`. */
  model(): LoadedModel;
  readonly costs: ProbeCosts;
  /** Before tensors of these shards are written. */
  prepare(shards: ReadonlySet<number>): Promise<void>;
  /** Put tensors of a shard into the model, through a type and back or, without one, as they are. */
  rewrite(shard: number, tensors: readonly RewrittenTensor[], type: TensorType | undefined): Promise<void>;
  close(): Promise<void>;
}

/** On the processor: copies of the files that are written, whose pages the model's weights are. */
async function loadCopy(source: OpenModel, request: ProbeSiteRequest, bench: Bench): Promise<LoadedSite> {
  const { scratch, context, analysis } = request;
  const { engine, threads, signal } = bench;
  const library = requireLibrary(engine);
  const copy = await linkModel(source.model, join(scratch, "probed"));
  await copy.makeWritable(shardsOf(source.model, [vouching(analysis)?.name ?? ""]));
  await requireUnchanged(source, bench);
  const load = () => library.load({ model: copy.first, context, threads, gpuLayers: 0, mapped: true, signal });
  let model: LoadedModel | undefined = await load();
  return {
    model: () => model as LoadedModel,
    costs: COSTS.processor,
    async prepare(shards) {
      if (model !== undefined && copy.isWritable(shards)) return;
      // what is mapped is the source's file until it is loaded anew
      await model?.close();
      model = undefined;
      await copy.makeWritable(shards);
      await requireUnchanged(source, bench);
      model = await load();
    },
    rewrite: (shard, tensors, type) =>
      library.rewrite({ from: shardPath(source, shard), to: copy.pathOf(shard), tensors, type }),
    async close() {
      await model?.close();
      // its bytes are wanted for the models of the run
      await copy.remove();
    },
  };
}

function shardsOf({ tensors }: Model, names: Iterable<string>): Set<number> {
  const wanted = new Set(names);
  return new Set(tensors.flatMap(({ name, shard }) => (wanted.has(name) ? [shard] : [])));
}

/** On other devices: the weights are written where they live, and put back from the source. */
async function loadOnDevices(
  source: OpenModel,
  { context }: ProbeSiteRequest,
  gpuLayers: number,
  bench: Bench,
): Promise<LoadedSite> {
  const { engine, threads, signal } = bench;
  const load = { model: source.path, context, threads, gpuLayers, rewritable: true, signal };
  const model = await requireLibrary(engine).load(load);
  await requireUnchanged(source, bench);
  return {
    model: () => model,
    costs: COSTS.device,
    prepare: async () => undefined,
    rewrite: (shard, tensors, type) => model.rewrite({ from: shardPath(source, shard), tensors, type }),
    close: () => model.close(),
  };
}

function shardPath({ model }: OpenModel, shard: number): string {
  return model.shards[shard]?.path as string;
}

/** Degrades a model whose tensors are in the types of `base` already, and the others as they are. */
type DegradeOn = (base: ProbeTypes) => ProbeSite["degrade"];

function degraderOf(loaded: LoadedSite, { imatrix }: ProbeSiteRequest, source: Model): DegradeOn {
  const known = new Map(source.tensors.map((tensor) => [tensor.name, tensor]));
  const rewrite = async (names: readonly string[], type: TensorType | undefined) => {
    for (const shard of source.shards.keys()) {
      const tensors = names.flatMap((name): RewrittenTensor[] => {
        const tensor = known.get(name);
        if (tensor === undefined || tensor.shard !== shard) return [];
        const { offset, shape, type: sourceType } = tensor;
        const weights = imatrix === undefined ? undefined : importanceOf(imatrix, tensor);
        const importance = weights instanceof Float32Array ? weights : undefined;
        return [{ name, offset, shape, sourceType, importance }];
      });
      if (tensors.length > 0) await loaded.rewrite(shard, tensors, type);
    }
  };
  const put = async (types: Iterable<readonly [name: string, type: TensorType | undefined]>) => {
    for (const [type, names] of byType(types)) await rewrite(names, type);
  };
  return (base) => async (types, score) => {
    const changed = [...types].filter(([name, type]) => type !== base.get(name));
    await loaded.prepare(
      shardsOf(
        source,
        changed.map(([name]) => name),
      ),
    );
    try {
      await put(changed);
      return await score(loaded.model());
    } finally {
      await put(changed.map(([name]) => [name, base.get(name)] as const));
    }
  };
}

/** Names by type; undefined: as in the source. */
function byType(types: Iterable<readonly [name: string, type: TensorType | undefined]>) {
  const groups = new Map<TensorType | undefined, string[]>();
  for (const [name, type] of types) groups.set(type, [...(groups.get(type) ?? []), name]);
  return groups;
}

/** The type a tensor is degraded to for the check: its damage can't be missed. */
const CHECK_TYPE: TensorType = "Q4_0";

/** The head or, without one, the largest of those that every token goes through. */
function vouching({ tensors, facts }: Analysis): TensorAnalysis | undefined {
  const eligible = tensors.filter((tensor) => tensor.eligible);
  const rank = ({ name, class: own }: TensorAnalysis) => (isHead(name, facts) ? 2 : Number(own === "ffn_down"));
  return eligible.sort((a, b) => rank(b) - rank(a) || b.elements - a.elements)[0];
}

/** Throws InPlaceRefused unless writing a tensor changes the scores and writing it back restores them. */
async function checkSite(site: ProbeSite, { analysis, checkTokens }: ProbeSiteRequest): Promise<void> {
  const tensor = vouching(analysis);
  if (tensor === undefined) throw new InPlaceRefused("the model has no tensor to check it with");
  const reference = await site.refer(site.text.probes);
  const score = async (model: LoadedModel) =>
    checkTokens === undefined
      ? reference.measure(model, { first: 0, count: 1 })
      : (await model.score({ tokens: checkTokens, first: 0, count: 1 })).nll;
  const before = await site.degrade(new Map(), score);
  const degraded = await site.degrade(new Map([[tensor.name, CHECK_TYPE]]), score).catch((error: unknown) => {
    // a value that does not fit the source's type is said by the child process; one that has ended can't go on elsewhere
    throw error instanceof EngineError && error.ended === undefined ? new InPlaceRefused(error.message) : error;
  });
  const after = await site.degrade(new Map(), score);
  const same = (a: Float64Array, b: Float64Array) => a.every((value, i) => value === b[i]);
  if (same(before, degraded)) throw new InPlaceRefused("the loaded model does not see what is written");
  if (!same(before, after)) throw new InPlaceRefused("the loaded model does not return to what it was");
}
