/**
 * Writes a GGUF file with the header and the tensor shapes of a real model and weights that behave like trained ones:
 * `npx tsx bench/generate-model.ts --shapes Qwen3.5-0.8B --out FILE [--type f16|bf16] [--seed N] [--layers N]`. The shapes
 * are those of test/fixtures/shapes, from the tensor maps of models that were published with measurements. llama.cpp
 * quantizes the file; with --layers, the first of them and rows for the few tokens that the header has, it runs it too.
 * Its text is nonsense.
 *
 * A weight is rowScale × columnScale × noise + lowRank: the noise is a Gaussian scale mixture (excess kurtosis 1.3), both
 * scales are log-normal, two columns in a thousand are outliers, and a product of rank 4 carries a tenth of the power.
 * The noise comes from a pool of 4 million draws that every row enters elsewhere, which is what makes it fast.
 */
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { tensorClass } from "../src/ggml/tensor-class.ts";
import { rowBytes } from "../src/ggml/tensor-types.ts";
import type { TensorInfo } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { writeGguf } from "../src/gguf/writer.ts";
import { createNormal, createRandom, seedFromName } from "../src/random.ts";
import {
  ARCHITECTURE_NAMES,
  type Architecture,
  type ArchitectureTensor,
  readArchitecture,
} from "../test/fixtures/architectures.ts";
import { VOCABULARY_TOKENS } from "../test/fixtures/vocabulary.ts";
import { encodeFloats, type SourceType } from "../test/fixtures/weights.ts";

const POOL_WEIGHTS = 1 << 22;
/** Standard deviation of the logarithm of the scale of a weight, a row and a column. */
const MIXTURE_SPREAD = 0.3;
const ROW_SPREAD = 0.3;
const COLUMN_SPREAD = 0.25;
const OUTLIER_COLUMNS = 0.002;
/** How much larger the weights of an outlier column are. */
const OUTLIER_SCALE = 6;
const RANK = 4;
const LOW_RANK_POWER = 0.1;
/** Weights encoded and written at once. */
const PIECE_WEIGHTS = 1 << 22;

type Normal = () => number;

/** Write a model of the shapes `name` to `path`, or its first layers; returns its bytes. */
export async function generateModel(
  name: string,
  path: string,
  type: SourceType,
  seed: number,
  layers?: number,
): Promise<number> {
  return await generateTensors(
    path,
    layers === undefined ? readArchitecture(name) : firstLayers(name, layers),
    type,
    seed,
  );
}

/** Write a model of these tensors, the BF16 ones as `type`; returns its bytes. */
export async function generateTensors(
  path: string,
  { keyValues, tensors }: Pick<Architecture, "keyValues" | "tensors">,
  type: SourceType,
  seed: number,
): Promise<number> {
  const fileType = { key: "general.file_type", type: "u32", value: type === "F16" ? 1 : 32 } as const;
  await writeGguf(path, {
    keyValues: keyValues.map((keyValue) => (keyValue.key === fileType.key ? fileType : keyValue)),
    tensors: tensors.map((tensor) => (tensor.type === "BF16" ? { ...tensor, type } : tensor)),
  });
  const header = await openLocalModel(path);
  const { model } = header;
  await header.close();
  const pool = drawPool(seed);
  const file = await open(path, "r+");
  try {
    for (const tensor of model.tensors) {
      for (const { data, start } of tensorPieces(tensor, pool, seed)) {
        await file.write(data, 0, data.length, tensor.offset + start);
      }
    }
  } finally {
    await file.close();
  }
  return model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
}

function firstLayers(name: string, layers: number): Pick<Architecture, "keyValues" | "tensors"> {
  const { keyValues, tensors } = readArchitecture(name);
  return {
    keyValues: keyValues.map((pair) => (pair.key.endsWith(".block_count") ? { ...pair, value: layers } : pair)),
    tensors: tensors
      .filter(({ name: tensor }) => (tensorClass(tensor).layer ?? 0) < layers)
      .map((tensor) => (isOfTokens(tensor) ? { ...tensor, shape: [tensor.shape[0] ?? 0, VOCABULARY_TOKENS] } : tensor)),
  };
}

function isOfTokens({ name }: Pick<ArchitectureTensor, "name">): boolean {
  return name === "token_embd.weight" || name === "output.weight";
}

function drawPool(seed: number): Float32Array {
  const normal = createNormal(createRandom(seed));
  return Float32Array.from({ length: POOL_WEIGHTS }, () => normal() * Math.exp(MIXTURE_SPREAD * normal()));
}

function* tensorPieces(tensor: TensorInfo, pool: Float32Array, seed: number) {
  const columns = tensor.shape[0] ?? 1;
  const rows = tensor.elements / columns;
  const random = createRandom(seedFromName(tensor.name, seed));
  const normal = createNormal(random);
  const type = tensor.type as SourceType;
  const isMatrix = tensor.shape.length > 1;
  const scales = columnScales(columns, normal, random);
  const factors = Array.from({ length: RANK }, () => Float32Array.from({ length: columns }, normal));
  // a state that decays
  const mean = tensor.name.endsWith("ssm_a") ? -1 : 1;
  const deviation = isMatrix ? 1 / Math.sqrt(columns) : 0.1;
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / columns));
  for (let row = 0; row < rows; row += pieceRows) {
    const weights = new Float32Array(Math.min(pieceRows, rows - row) * columns);
    for (let start = 0; start < weights.length; start += columns) {
      const target = weights.subarray(start, start + columns);
      const offset = Math.floor(random() * (POOL_WEIGHTS - Math.min(columns, POOL_WEIGHTS)));
      fillRow(target, pool, offset, scales, deviation * Math.exp(ROW_SPREAD * normal()));
      if (isMatrix) for (const factor of factors) addScaled(target, factor, lowRankScale(deviation) * normal());
      else for (let j = 0; j < columns; j++) target[j] = mean + (target[j] as number);
    }
    yield { data: encodeFloats(type, weights), start: row * rowBytes(type, columns) };
  }
}

function columnScales(columns: number, normal: Normal, random: () => number): Float32Array {
  return Float32Array.from(
    { length: columns },
    () => Math.exp(COLUMN_SPREAD * normal()) * (random() < OUTLIER_COLUMNS ? OUTLIER_SCALE : 1),
  );
}

function fillRow(target: Float32Array, pool: Float32Array, offset: number, scales: Float32Array, scale: number): void {
  for (let j = 0; j < target.length; j++) {
    target[j] = scale * (scales[j] as number) * (pool[(offset + j) & (POOL_WEIGHTS - 1)] as number);
  }
}

function lowRankScale(deviation: number): number {
  return deviation * Math.sqrt(LOW_RANK_POWER / RANK);
}

function addScaled(target: Float32Array, factor: Float32Array, scale: number): void {
  for (let j = 0; j < target.length; j++) target[j] = (target[j] as number) + scale * (factor[j] as number);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      shapes: { type: "string" },
      out: { type: "string" },
      type: { type: "string", default: "f16" },
      seed: { type: "string", default: "1" },
      layers: { type: "string" },
    },
  });
  const type = values.type.toUpperCase();
  if (values.shapes === undefined || values.out === undefined || (type !== "F16" && type !== "BF16")) {
    console.error(
      "usage: npx tsx bench/generate-model.ts --shapes NAME --out FILE [--type f16|bf16] [--seed N] [--layers N]",
    );
    console.error(`names: ${ARCHITECTURE_NAMES.join(" ")}`);
    process.exit(2);
  }
  const started = performance.now();
  const layers = values.layers === undefined ? undefined : Number(values.layers);
  const bytes = await generateModel(values.shapes, values.out, type, Number(values.seed), layers);
  const seconds = (performance.now() - started) / 1e3;
  console.log(
    `${values.out}: ${(bytes / 1e9).toFixed(2)} GB in ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`,
  );
}
