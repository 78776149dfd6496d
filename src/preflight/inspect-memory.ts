/** What a model takes of a GPU's memory as it is and under the presets, at several contexts, from its header. */
import { UsageError } from "../errors.ts";
import { type ContextRequest, contextSize, F16_CACHE, type KvTypes } from "../footprint/context-size.ts";
import { type HeaderMemory, readHeaderMemory, trainedContext } from "../footprint/header-memory.ts";
import { kvTypesRefusal } from "../footprint/kv-cache.ts";
import { contextNeeded } from "../footprint/memory-needed.ts";
import { type WeightTensor, weightBytes, weightPlaces } from "../footprint/weight-places.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { Model } from "../gguf/model.ts";
import { present } from "../present.ts";
import type { InspectedContext, InspectedFit, InspectedMemory } from "./inspection.ts";

export interface MemoryQuestion {
  /** A GPU's memory, to say what fits. */
  readonly vramBytes?: number | undefined;
  /** Contexts in tokens, of all sequences. Default: CONTEXTS, as far as the model was trained. */
  readonly contexts?: readonly number[] | undefined;
  readonly kv?: KvTypes | undefined;
  readonly sequences?: number | undefined;
  /** Of a projector, with what it computes in. */
  readonly projectorBytes?: number | undefined;
}

/** Contexts that people ask for: a chat, some files, a book. */
const CONTEXTS: readonly number[] = [4096, 8192, 32_768, 131_072];

export interface MemoryAnswer {
  readonly memory: InspectedMemory;
  /** What the tensors take in these types, at each context. */
  readonly fits: (types?: ReadonlyMap<string, TensorType>) => InspectedFit[];
}

/** A text where the header does not tell: why. Throws UsageError for a cache that llama.cpp refuses. */
export function inspectMemory(model: Model, question: MemoryQuestion): MemoryAnswer | string {
  const header = readHeaderMemory(model);
  if (typeof header === "string") return header;
  const { vramBytes, kv = F16_CACHE, sequences = 1, projectorBytes } = question;
  const contexts = (question.contexts ?? contextsOf(header)).map((context): InspectedContext => {
    const request: ContextRequest = { context, parallel: sequences, kv };
    const refusal = kvTypesRefusal(header, contextSize(header, request));
    if (refusal !== undefined) throw new UsageError(`--kv: ${refusal}; give another type, or leave --kv out for F16`);
    return { context, ...contextNeeded(header, request) };
  });
  return {
    memory: {
      ...present({
        vramBytes,
        projectorBytes,
        trainedContext: trainedContext(header),
        embeddings: placeOfEmbeddings(header, model),
      }),
      sequences,
      kvTypes: kv,
      contexts,
      asIs: fitsOf(model.tensors),
    },
    fits: (types) => fitsOf(inTypes(model, types)),
  };

  function fitsOf(tensors: readonly WeightTensor[]): InspectedFit[] {
    const weights = weightBytes(header as HeaderMemory, tensors).gpu + (projectorBytes ?? 0);
    return contexts.map(({ context, kvBytes, stateBytes, computeBytes, marginBytes }) => {
      const totalBytes = weights + kvBytes + stateBytes + computeBytes + marginBytes;
      return {
        context,
        totalBytes,
        ...present({ fits: vramBytes === undefined ? undefined : totalBytes <= vramBytes }),
      };
    });
  }
}

function placeOfEmbeddings(header: HeaderMemory, { tensors }: Model): InspectedMemory["embeddings"] {
  const name = "token_embd.weight";
  const place = weightPlaces(
    header,
    tensors.map((tensor) => tensor.name),
  ).get(name);
  if (place === undefined || !place.host) return undefined;
  return place.gpu ? "RAM and GPU" : "RAM";
}

function contextsOf(header: HeaderMemory): readonly number[] {
  const trained = trainedContext(header);
  if (trained === undefined) return CONTEXTS;
  const within = CONTEXTS.filter((context) => context <= trained);
  return within.length === 0 ? [trained] : within;
}

function inTypes({ tensors }: Model, types: ReadonlyMap<string, TensorType> = new Map()): WeightTensor[] {
  return tensors.map(({ name, shape, type }) => ({ name, bytes: tensorBytes(types.get(name) ?? type, shape) }));
}
