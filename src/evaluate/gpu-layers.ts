/** How many layers of a model fit on the GPUs there are, by what its file says and what is free. */
import type { Bench } from "../bench.ts";
import type { Engine, GpuDevice } from "../engine/engine.ts";
import { isEncoder, type ModelFacts } from "../ggml/model-facts.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { formatSize } from "../numbers.ts";

/** Tokens that are decoded together (llama.cpp's default physical batch), and those of all sequences in a batch. */
const MICRO_BATCH = 512;
const BATCH_TOKENS = 2048;
/** Activations of a layer that stand in a buffer at once, in rows as wide as its widest weight. */
const ROWS_AT_ONCE = 8;
/** Part of the free memory that is left alone: pipelines, fragments, and what others take meanwhile. */
const MARGIN = 0.1;

export interface FitRequest {
  /** Tokens of a sequence. */
  readonly context?: number | undefined;
  /** Bytes of another model that is loaded at the same time, as a part of this one's. */
  readonly beside?: number | undefined;
  /** How many there were before, which is not to change; only said. */
  readonly before?: number | undefined;
}

/** The bench with as many layers on the GPU as fit, where that was left open; it is said how many. */
export function fitLayers<B extends Bench>(bench: B, open: Pick<OpenModel, "model" | "facts">, request: FitRequest): B {
  const found = bench.engine.info.gpus ?? [];
  if (!bench.autoLayers || found.length === 0) return bench;
  const cards = found.filter(({ integrated }) => !integrated);
  const gpus = cards.length > 0 ? cards : found;
  const all = open.facts.layers + 1;
  const gpuLayers = Math.min(all, request.before ?? layersThatFit(open, gpus, request));
  const where = gpus.map(({ name, description, freeBytes }) => {
    return `${name} (${description}${freeBytes > 0 ? `, ${formatSize(freeBytes)} free` : ""})`;
  });
  bench.progress.note(`${gpuLayers} of ${all} layers on ${where.join(" and ")}; --gpu-layers chooses another number`);
  return { ...bench, gpuLayers, autoLayers: false };
}

/** What decodes, as far as documents tell. */
export interface DecodedWith {
  readonly engine: Pick<Engine, "info">;
  readonly gpuLayers: number;
}

/** What a document says of the devices that decoded for it. */
export function decodedBy({ engine, gpuLayers }: DecodedWith) {
  return { devices: engine.info.devices, ...(gpuLayers > 0 ? { gpuLayers } : {}) };
}

/** What a key has besides where a GPU may have computed; those of the processor alone stay what they were. */
export function gpuKey({ engine, gpuLayers }: DecodedWith): (string | number)[] {
  return engine.info.gpus === undefined ? [] : [engine.info.devices.join(), gpuLayers];
}

/** As llama.cpp counts them: the output is the first that goes to a GPU, then the layers from the last on. */
export function layersThatFit(
  { model, facts }: Pick<OpenModel, "model" | "facts">,
  gpus: readonly GpuDevice[],
  { context = 0, beside = 0 }: FitRequest,
): number {
  // a driver that does not say what is free has to be tried
  if (gpus.some(({ freeBytes }) => freeBytes === 0)) return facts.layers + 1;
  const tokens = Math.max(context, BATCH_TOKENS);
  const computed = computeBytes(model, facts, tokens);
  const free = gpus.reduce((sum, { freeBytes }) => sum + freeBytes * (1 - MARGIN) - computed, 0);
  const cache = tokens * cachePerToken(model, facts.layers);
  const sizes = new Array<number>(facts.layers).fill(cache);
  let output = 0;
  for (const { name, bytes } of model.tensors) {
    const { layer } = tensorClass(name);
    if (layer !== undefined && layer < sizes.length) sizes[layer] = (sizes[layer] ?? 0) + bytes;
    else if (name !== "token_embd.weight" || (!facts.hasOutput && !isEncoder(facts.arch))) output += bytes;
  }
  let fitting = 0;
  let left = free;
  for (const bytes of [output, ...sizes.reverse()]) {
    left -= bytes * (1 + beside);
    if (left < 0) break;
    fitting++;
  }
  return fitting;
}

/** Bytes of keys and values of a token in one layer, in f16; the widest the file lets them be. */
function cachePerToken(model: Model, layers: number): number {
  const widths = model.tensors.flatMap(({ name, shape }) => {
    const { class: own, layer } = tensorClass(name);
    return layer !== undefined && layer < layers && /^attn_(k|v|kv_[ab](_mqa)?)$/.test(own) ? [shape[1] ?? 0] : [];
  });
  const fallback = model.tensors.find(({ name }) => name === "token_embd.weight")?.shape[0] ?? 0;
  return 2 * Uint16Array.BYTES_PER_ELEMENT * (widths.length > 0 ? Math.max(...widths) : fallback);
}

/** Bytes of what a batch computes on each device: logits, activations, and scores of attention. */
function computeBytes({ tensors }: Model, { vocabSize, heads }: ModelFacts, tokens: number): number {
  const rows = tensors.map(({ name, shape }) => (tensorClass(name).layer === undefined ? 0 : (shape[1] ?? 0)));
  const widest = rows.reduce((most, n) => Math.max(most, n), 0);
  return Float32Array.BYTES_PER_ELEMENT * MICRO_BATCH * (vocabSize + ROWS_AT_ONCE * widest + heads * tokens);
}
