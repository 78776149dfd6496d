/**
 * Distortion of every type llama-quantize makes, of normally distributed weights with a flat importance: which are worth
 * being candidates. `npx tsx research/type-distortion.ts`
 */

import { requireLibrary } from "../src/engine/engine.ts";
import { bitsPerWeight, TENSOR_TYPE_NAMES, TENSOR_TYPES } from "../src/ggml/tensor-types.ts";
import { openBench } from "../src/open-bench.ts";
import { createNormal, createRandom } from "../src/random.ts";

const [ROWS, COLUMNS] = [256, 768];

const normal = createNormal(createRandom(1));
const weights = Float32Array.from({ length: ROWS * COLUMNS }, () => 0.02 * normal());
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: "none" });
const types = TENSOR_TYPE_NAMES.filter((type) => TENSOR_TYPES[type].target && TENSOR_TYPES[type].blockElements > 1);
console.log("| type | bits per weight | block | D | candidate |\n|---|---|---|---|---|");
for (const type of types.sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b))) {
  const { power, error } = await requireLibrary(bench.engine).roundTrip({
    sourceType: "F32",
    rowElements: COLUMNS,
    data: new Uint8Array(weights.buffer),
    bandRows: ROWS,
    types: [type],
    importance: new Float32Array(COLUMNS).fill(1),
  });
  const { blockElements, candidate } = TENSOR_TYPES[type];
  const distortion = (error[type]?.[0] ?? Number.NaN) / (power[0] ?? 1);
  console.log(
    `| ${type} | ${bitsPerWeight(type)} | ${blockElements} | ${distortion.toPrecision(3)} | ${candidate === undefined ? "" : "yes"} |`,
  );
}
await bench.close();
