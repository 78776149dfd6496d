/**
 * What error feedback costs by size: `npx tsx --expose-gc bench/feedback.ts [--shapes Qwen3.5-0.8B,...] [--types Q4_K]
 * [--threads N] [--tokens 1024]`. Of each model the first four layers are made (generate-model.ts; the fourth has full attention, the
 * others linear). In one run they are decoded for an importance matrix and for the second moments of all inputs; and the
 * codes of a layer of either kind are chosen, as the engine does, from moments of random inputs, beside ggml's quantizing of
 * the same weights (what both kinds have alike once). The whole is told from that: layers by their number, the head by the
 * rows of ffn_gate and ffn_up. Times are the processor's, which hold on a busy machine too.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openLlamaLibrary } from "../src/engine/child/llama-library.ts";
import type { InputMoments } from "../src/engine/child/moments-collector.ts";
import { nativeFeedback } from "../src/engine/child/native-feedback.ts";
import { findEnginePackage } from "../src/engine/package.ts";
import { loadModel } from "../src/evaluate/load-model.ts";
import { layerRanges } from "../src/feedback/layer-ranges.ts";
import { leftAloneReason } from "../src/ggml/eligibility.ts";
import { tensorClass } from "../src/ggml/tensor-class.ts";
import { parseTensorType, type TensorType } from "../src/ggml/tensor-types.ts";
import type { TensorInfo } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { libraryPath, loadLibrary } from "../src/kernels/native-library.ts";
import { openBench } from "../src/open-bench.ts";
import { readArchitecture } from "../test/fixtures/architectures.ts";
import { VOCABULARY_TOKENS } from "../test/fixtures/vocabulary.ts";
import { type CodingCost, codingCost, correlatedMoments } from "./coding-cost.ts";
import { generateModel } from "./generate-model.ts";
import { observe } from "./processes.ts";
import { machineName, recordResult } from "./results.ts";

/** A period of Qwen3.5's layers; the last of them has full attention. */
const LAYERS = 4;
const CONTEXT = 512;
/** The default of --memory, and more. */
const MEMORY_GIB = [1, 2, 4, 8, 16];

const { values } = parseArgs({
  options: {
    shapes: { type: "string", default: "Qwen3.5-0.8B,Qwen3.5-4B,Qwen3.5-9B" },
    types: { type: "string", default: "Q4_K" },
    threads: { type: "string", default: String(availableParallelism()) },
    tokens: { type: "string", default: "1024" },
  },
});
const threads = Number(values.threads);
const tokens = Number(values.tokens);
const native = loadLibrary(libraryPath());
if (typeof native === "string") throw new Error(native);
const library = openLlamaLibrary(findEnginePackage());
const kernels = nativeFeedback(native, library, threads);
const work = await mkdtemp(join(tmpdir(), "prism-feedback-cost-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: "none" });
console.log(`${machineName()}, ${threads} threads, processor time\n`);
try {
  for (const name of values.shapes.split(",")) await benchShapes(name);
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

interface GroupCost extends CodingCost {
  readonly type: TensorType;
  readonly layer: number;
  readonly inputs: string;
}

async function benchShapes(name: string): Promise<void> {
  const path = join(work, `${name}.gguf`);
  await generateModel(name, path, "F16", 1, LAYERS);
  const source = await openLocalModel(path);
  const { tensors } = source.model;
  await source.close();
  const matrices = tensors.filter((tensor) => isCoded(tensor) && tensorClass(tensor.name).layer !== undefined);
  const passes = await passCosts(
    path,
    matrices.map((tensor) => tensor.name),
  );
  const each = (seconds: number) => ((1e3 * seconds) / tokens).toFixed(1);
  console.log(
    `${name}, ${LAYERS} layers: ms a token for an importance matrix ${each(passes.imatrixSeconds)}, for second moments ` +
      `${each(passes.momentsSeconds)}, ratio ${(passes.momentsSeconds / passes.imatrixSeconds).toFixed(2)}`,
  );
  const ranges = MEMORY_GIB.map((gib) => wholeRanges(name, gib));
  for (const { gib, passes: count, decoded } of ranges) {
    console.log(`--memory ${gib}GiB: ${count} passes, in which ${decoded.toFixed(1)} times all layers are decoded`);
  }
  console.log("");
  console.log(
    "| type | layer | inputs | columns × rows | ggml, ns a weight | feedback | ratio | one factor, s | peak memory, MB |",
  );
  console.log("|---|---|---|---|---|---|---|---|---|");
  const moments = new Map<number, InputMoments>();
  const costs: GroupCost[] = [];
  for (const type of values.types.split(",").map(typeNamed)) {
    for (const layer of [0, LAYERS - 1]) costs.push(...(await layerCosts(path, matrices, type, layer, moments, costs)));
    const whole = wholeCost(
      name,
      costs.filter((cost) => cost.type === type),
    );
    console.log(
      `| ${type} | all | | | ${whole.plainSeconds.toFixed(0)} s | ${whole.codesSeconds.toFixed(0)} s | ${(whole.codesSeconds / whole.plainSeconds).toFixed(1)} | | |`,
    );
  }
  console.log("");
  await rm(path);
  await recordResult({
    bench: "feedback-cost",
    figures: { shapes: name, threads, tokens, ...passes, ranges, costs },
  });
}

function typeNamed(text: string): TensorType {
  const type = parseTensorType(text);
  if (type === undefined) throw new Error(`${text} is not a type`);
  return type;
}

function isCoded(tensor: Pick<TensorInfo, "name" | "shape">): boolean {
  return leftAloneReason(tensor) === undefined && tensor.name !== "token_embd.weight";
}

/** The same tokens decoded for the squares of inputs and for their products. */
async function passCosts(path: string, weights: readonly string[]) {
  const chunks = Math.ceil(tokens / CONTEXT);
  const ids = Int32Array.from(
    { length: chunks * CONTEXT },
    (_, at) => (at * 7919 + (at >> 3)) % (VOCABULARY_TOKENS - 1),
  );
  const text = { context: CONTEXT, chunks, ids };
  const loaded = await loadModel(path, { context: CONTEXT }, bench);
  try {
    // the weights are read from the file
    await loaded.importance({ tokens: { context: CONTEXT, chunks: 1, ids: ids.slice(0, CONTEXT) } });
    const imatrix = await observe(() => loaded.importance({ tokens: text }));
    const moments = await observe(() => loaded.collectInputs({ texts: [text], weights }));
    const seconds = ({ usage }: typeof imatrix | typeof moments) => usage.cpuSeconds ?? usage.seconds;
    return { imatrixSeconds: seconds(imatrix), momentsSeconds: seconds(moments) };
  } finally {
    await loaded.close();
  }
}

/** Passes over the text that the whole model takes, and how many times its layers are decoded in them. */
function wholeRanges(name: string, gib: number): { gib: number; passes: number; decoded: number } {
  const weights = readArchitecture(name).tensors.filter(isCoded);
  const layers = layersOf(name);
  const ranges = layerRanges(
    weights.map((tensor) => ({ name: tensor.name, columns: tensor.shape[0] ?? 0 })),
    gib * 2 ** 30,
  );
  const last = ranges.map((range) =>
    Math.max(...range.map((weight) => 1 + (tensorClass(weight.name).layer ?? layers - 1))),
  );
  return { gib, passes: ranges.length, decoded: last.reduce((sum, end) => sum + end / layers, 0) };
}

function layersOf(name: string): number {
  return 1 + Math.max(...readArchitecture(name).tensors.map((tensor) => tensorClass(tensor.name).layer ?? 0));
}

async function layerCosts(
  path: string,
  matrices: readonly TensorInfo[],
  type: TensorType,
  layer: number,
  moments: Map<number, InputMoments>,
  measured: readonly GroupCost[],
): Promise<GroupCost[]> {
  const groups = new Map<string, TensorInfo[]>();
  for (const tensor of matrices.filter((one) => tensorClass(one.name).layer === layer)) {
    const inputs = inputsOf(tensor.name);
    groups.set(inputs, [...(groups.get(inputs) ?? []), tensor]);
  }
  const costs: GroupCost[] = [];
  for (const [inputs, tensors] of groups) {
    const columns = tensors[0]?.shape[0] ?? 0;
    const rows = tensors.reduce((sum, tensor) => sum + (tensor.shape[1] ?? 1), 0);
    const before = measured.find((cost) => cost.type === type && cost.columns === columns && cost.rows === rows);
    if (before !== undefined) {
      costs.push({ ...before, layer, inputs });
      continue;
    }
    const sums = moments.get(columns) ?? correlatedMoments(kernels, columns);
    moments.set(columns, sums);
    const cost = await codingCost(path, tensors, type, sums, { library, kernels, output: join(work, "codes.bin") });
    costs.push({ type, layer, inputs, ...cost });
    const ns = (seconds: number) => ((seconds * 1e9) / (cost.columns * cost.rows)).toFixed(0);
    console.log(
      `| ${type} | ${layer} | ${inputs} | ${columns} × ${cost.rows} | ${ns(cost.plainSeconds)} | ${ns(cost.codesSeconds)} | ` +
        `${(cost.codesSeconds / cost.plainSeconds).toFixed(1)} | ${cost.factorSeconds.toFixed(2)} | ${((cost.peakBytes ?? 0) / 1e6).toFixed(0)} |`,
    );
  }
  return costs;
}

/** What has the same inputs, by the output of which part they are. */
function inputsOf(name: string): string {
  const { class: own } = tensorClass(name);
  if (own === "ffn_gate" || own === "ffn_up") return "feed forward";
  return own === "ffn_down" || own === "attn_output" || own === "ssm_out" ? own : "attention";
}

/** Of all layers, and a head whose rows cost what those of the feed forward do. */
function wholeCost(name: string, costs: readonly GroupCost[]): { plainSeconds: number; codesSeconds: number } {
  const { tensors } = readArchitecture(name);
  const head =
    tensors.find((tensor) => tensor.name === "output.weight") ??
    tensors.find((tensor) => tensor.name === "token_embd.weight");
  const layers = layersOf(name);
  const sum = (of: "plainSeconds" | "codesSeconds") =>
    costs.reduce((total, cost) => {
      const times = layers * (cost.layer === 0 ? (LAYERS - 1) / LAYERS : 1 / LAYERS);
      const rows = cost.inputs === "feed forward" && cost.layer === 0 ? (head?.shape[1] ?? 0) / cost.rows : 0;
      return total + (times + rows) * cost[of];
    }, 0);
  return { plainSeconds: sum("plainSeconds"), codesSeconds: sum("codesSeconds") };
}
