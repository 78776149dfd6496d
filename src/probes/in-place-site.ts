/**
 * Probes without files: a copy of the model is loaded as views of the file (mmap), so that tensors written into the
 * copy are what the loaded model computes with. Neither a file is quantized nor a model loaded for a probe. Before the
 * site is trusted, a degraded tensor must change the scores, and putting it back must restore them to the bit.
 */
import { constants, copyFile, mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Bench } from "../bench.ts";
import { checkFreeSpace } from "../disk/free-space.ts";
import {
  type EvaluationTokens,
  type Library,
  type LoadedModel,
  type RewrittenTensor,
  requireLibrary,
} from "../engine/engine.ts";
import { EngineError } from "../errors.ts";
import { referenceLogits } from "../evaluate/reference.ts";
import { isHead } from "../ggml/tensor-class.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { ProbeSite, ProbeSiteRequest, ProbeTypes } from "./probe-site.ts";

/** Why this model can't be probed in place here. */
export class InPlaceRefused extends Error {}

/** Throws InPlaceRefused where the model, the engine or the platform does not allow it. */
export async function openInPlaceSite(source: OpenModel, request: ProbeSiteRequest, bench: Bench): Promise<ProbeSite> {
  const { engine, threads, gpuLayers, signal } = bench;
  const library = requireLibrary(engine);
  if (gpuLayers !== 0) throw new InPlaceRefused("layers on a GPU are not views of the file");
  const copy = await copyModel(source, request.scratch);
  await requireUnchanged(source, bench);
  const [first = ""] = copy.paths;
  const model = await library.load({
    model: first,
    context: request.context,
    threads,
    gpuLayers,
    mapped: true,
    signal,
  });
  const close = async () => {
    await model.close();
    // its bytes are wanted for the models of the run
    await rm(copy.folder, { recursive: true, force: true });
  };
  try {
    const text = await request.textOf(model);
    const refer = async (tokens: EvaluationTokens) => {
      const reference = await referenceLogits(model, tokens, source, bench);
      // decoded anew it would be as degraded as what is compared with it; trials are compared while nothing is
      if ("loaded" in reference && tokens === text.probes) {
        throw new InPlaceRefused("the reference's logits don't fit the disk");
      }
      return reference;
    };
    const degrade = degraderOf(library, request, source.model, copy, model);
    const site: ProbeSite = { kind: "in-place", text, refer, degrade, close };
    await refer(text.probes);
    await checkSite(site, request, model);
    return site;
  } catch (error) {
    await close();
    throw error;
  }
}

interface Copy {
  readonly folder: string;
  readonly paths: readonly string[];
}

async function copyModel({ model, fileBytes }: OpenModel, scratch: string): Promise<Copy> {
  const eligible = model.tensors.filter(({ type }) => isQuantizedType(type));
  if (eligible.length > 0) {
    throw new InPlaceRefused(`${eligible[0]?.name} is quantized already, and has no room for what a type makes of it`);
  }
  const folder = join(scratch, "probed");
  await mkdir(folder, { recursive: true });
  await checkFreeSpace(folder, folder, fileBytes);
  const paths: string[] = [];
  for (const { path } of model.shards) {
    const to = join(folder, basename(path));
    await copyFile(path, to, constants.COPYFILE_FICLONE);
    paths.push(to);
  }
  return { folder, paths };
}

function degraderOf(
  library: Library,
  { imatrix }: ProbeSiteRequest,
  source: Model,
  copy: Copy,
  model: LoadedModel,
): ProbeSite["degrade"] {
  const tensors = new Map(source.tensors.map((tensor) => [tensor.name, tensor]));
  const rewrite = async (names: readonly string[], type: TensorType | undefined) => {
    for (const [shard, { path: from }] of source.shards.entries()) {
      const rewritten = names.flatMap((name): RewrittenTensor[] => {
        const tensor = tensors.get(name);
        if (tensor === undefined || tensor.shard !== shard) return [];
        const { offset, shape, type: sourceType } = tensor;
        const importance = imatrix === undefined ? undefined : importanceOf(imatrix, tensor);
        return [{ offset, shape, sourceType, importance: importance instanceof Float32Array ? importance : undefined }];
      });
      if (rewritten.length === 0) continue;
      const to = copy.paths[shard] as string;
      await library.rewrite({ from, to, tensors: rewritten, type });
    }
  };
  return async (types, score) => {
    try {
      for (const [type, names] of byType(types)) await rewrite(names, type);
      return await score(model);
    } finally {
      await rewrite([...types.keys()], undefined);
    }
  };
}

function byType(types: ProbeTypes): Map<TensorType, string[]> {
  const groups = new Map<TensorType, string[]>();
  for (const [name, type] of types) groups.set(type, [...(groups.get(type) ?? []), name]);
  return groups;
}

/** The type the head is degraded to for the check: its damage can't be missed. */
const CHECK_TYPE: TensorType = "Q4_0";

/** Throws InPlaceRefused unless writing the head changes the scores and writing it back restores them. */
async function checkSite(site: ProbeSite, { analysis }: ProbeSiteRequest, model: LoadedModel): Promise<void> {
  const head = analysis.tensors.find(({ name, eligible }) => eligible && isHead(name, analysis.facts));
  if (head === undefined) throw new InPlaceRefused("the model has no head to check it with");
  const score = () => model.score({ tokens: site.text.probes, first: 0, count: 1 });
  const before = await score();
  const degraded = await site.degrade(new Map([[head.name, CHECK_TYPE]]), score).catch((error: unknown) => {
    // a value that does not fit the source's type is said by the child process; one that has ended can't go on elsewhere
    throw error instanceof EngineError && error.ended === undefined ? new InPlaceRefused(error.message) : error;
  });
  const after = await score();
  const same = (a: Float64Array, b: Float64Array) => a.every((value, i) => value === b[i]);
  if (same(before.nll, degraded.nll)) throw new InPlaceRefused("the loaded model does not see what is written");
  if (!same(before.nll, after.nll)) throw new InPlaceRefused("the loaded model does not return to what it was");
}
