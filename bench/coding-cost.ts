/** Processor time of choosing codes with error feedback, and of ggml's quantizing of the same weights. */
import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { chooseCodes } from "../src/engine/child/choose-codes.ts";
import type { FeedbackKernels } from "../src/engine/child/feedback.ts";
import type { LlamaLibrary } from "../src/engine/child/llama-library.ts";
import type { InputMoments, MomentsCollector } from "../src/engine/child/moments-collector.ts";
import { decode } from "../src/engine/child/round-trip.ts";
import type { CodedTensor } from "../src/engine/engine.ts";
import { rowBytes, TENSOR_TYPES, type TensorType } from "../src/ggml/tensor-types.ts";
import type { TensorInfo } from "../src/gguf/model.ts";
import { present } from "../src/present.ts";
import { createNormal, createRandom } from "../src/random.ts";

export interface CodingCost {
  readonly columns: number;
  readonly rows: number;
  /** Processor seconds of ggml's quantizing, of one factorization, and of all that error feedback does. */
  readonly plainSeconds: number;
  readonly factorSeconds: number;
  readonly codesSeconds: number;
  /** The most memory of the process meanwhile; absent where the system doesn't tell. */
  readonly peakBytes?: number;
}

export interface CodingTools {
  readonly library: LlamaLibrary;
  readonly kernels: FeedbackKernels;
  /** Where the quantized weights go. */
  readonly output: string;
}

/** Of tensors of `path` that have the same inputs. */
export async function codingCost(
  path: string,
  tensors: readonly TensorInfo[],
  type: TensorType,
  moments: InputMoments,
  { library, kernels, output }: CodingTools,
): Promise<CodingCost> {
  const columns = moments.length;
  const coded: CodedTensor[] = [];
  let [offset, plainSeconds] = [0, 0];
  writeFileSync(output, "");
  for (const { name, shape, type: sourceType, offset: sourceOffset } of tensors) {
    const rows = shape[1] ?? 1;
    coded.push({ name, from: path, sourceOffset, sourceType, offset, type, columns, rows });
    const weights = decode(
      library,
      sourceType,
      readPiece(path, sourceOffset, rows * rowBytes(sourceType, columns)),
      rows * columns,
    );
    const packed = new Uint8Array(rows * rowBytes(type, columns));
    const importance = new Float32Array(columns).fill(1);
    plainSeconds += await processorSeconds(() =>
      library.quantizeChunk(TENSOR_TYPES[type].id, weights, packed, 0, rows, columns, importance),
    );
    await writeFile(output, packed, { flag: "a" });
    offset += packed.length;
  }
  const collector = { keyOf: () => "all", momentsOf: () => moments } as unknown as MomentsCollector;
  // with --expose-gc: what was needed for ggml's part is no part of it
  globalThis.gc?.();
  const peak = await resetPeak();
  const codesSeconds = await processorSeconds(() =>
    chooseCodes(
      kernels,
      collector,
      { output, tensors: coded },
      () => undefined,
      () => undefined,
    ),
  );
  const peakBytes = await peak?.();
  const factor = { feedback: new Float32Array(columns * columns), pivots: new Float32Array(columns) };
  const factorSeconds = await processorSeconds(() =>
    kernels.feedbackFactor(moments.fitted, columns, 0.25, factor.feedback, factor.pivots),
  );
  const rows = coded.reduce((sum, tensor) => sum + tensor.rows, 0);
  return { columns, rows, plainSeconds, factorSeconds, codesSeconds, ...present({ peakBytes }) };
}

const [CORRELATION, COMMON] = [0.9, 4];
/** Standard deviation of the logarithm of an input's size; few are so much larger. */
const [SPREAD, OUTLIERS, OUTLIER_SCALE] = [0.7, 0.003, 30];
const POOL = 1 << 22;
const BATCH = 512;

/** Moments of random inputs that go with their neighbours and with a few common directions, a few of them strong. */
export function correlatedMoments({ momentsLength, addMoments }: FeedbackKernels, columns: number): InputMoments {
  const random = createRandom(columns);
  const normal = createNormal(random);
  const pool = Float32Array.from({ length: POOL }, normal);
  const scales = Float32Array.from(
    { length: columns },
    () => Math.exp(SPREAD * normal()) * (random() < OUTLIERS ? OUTLIER_SCALE : 1),
  );
  const directions = Array.from({ length: COMMON }, () => Float32Array.from({ length: columns }, normal));
  const inputs = new Float32Array(BATCH * columns);
  const summed = (rows: number): Float32Array => {
    const sums = new Float32Array(momentsLength(columns));
    for (let from = 0; from < rows; from += BATCH) {
      for (let row = 0; row < BATCH; row++) {
        const strengths = directions.map(normal);
        let [at, before] = [Math.floor(random() * (POOL - columns)), 0];
        for (let j = 0; j < columns; j++) {
          before = CORRELATION * before + Math.sqrt(1 - CORRELATION ** 2) * (pool[at++] as number);
          let value = before;
          for (let k = 0; k < COMMON; k++)
            value += 0.5 * (strengths[k] as number) * ((directions[k] as Float32Array)[j] as number);
          inputs[row * columns + j] = value * (scales[j] as number);
        }
      }
      addMoments(inputs, BATCH, columns, columns, sums);
    }
    return sums;
  };
  // more rows than columns, and a quarter of them held out
  return { length: columns, fitted: summed(1.25 * columns), held: summed(0.4 * columns) };
}

async function processorSeconds(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Begin to watch the most memory of this process; Linux only. */
async function resetPeak(): Promise<(() => Promise<number>) | undefined> {
  try {
    await writeFile("/proc/self/clear_refs", "5");
    return async () => {
      const status = await readFile("/proc/self/status", "utf8");
      return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
    };
  } catch {
    return undefined;
  }
}

function readPiece(path: string, offset: number, bytes: number): Uint8Array {
  const file = openSync(path, "r");
  try {
    const data = new Uint8Array(bytes);
    if (readSync(file, data, 0, bytes, offset) !== bytes) throw new Error(`${path} ends early`);
    return data;
  } finally {
    closeSync(file);
  }
}
