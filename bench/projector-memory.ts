/**
 * What projectors compute in, estimated from their headers, against what libmtmd reserves for its largest image (its warmup).
 * Needs libmtmd: prism doctor --build-mtmd.
 *
 *   npx tsx bench/projector-memory.ts
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLlamaLibrary } from "../src/engine/child/llama-library.ts";
import { openMtmdLibrary } from "../src/engine/child/mtmd-library.ts";
import { findEnginePackage } from "../src/engine/package.ts";
import { findVisionLibrary } from "../src/engine/vision-library.ts";
import { projectorComputeBytes } from "../src/footprint/projector-buffers.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { writeGguf } from "../src/gguf/writer.ts";
import { clipFamily, mergerFamily } from "../test/fixtures/clip-family.ts";
import type { Family } from "../test/fixtures/families.ts";
import { writeTiny } from "../test/fixtures/tiny-models.ts";

const OUTPUT = 2560;
const MIB = 2 ** 20;

interface Projector {
  readonly name: string;
  readonly family: Family;
  /** Pixels of a side. */
  readonly image: number;
  readonly positions: number;
}

const PROJECTORS: readonly Projector[] = [
  {
    name: "LLaVA 1.5 (336 pixels)",
    family: clipFamily({ layers: 23, d: 1024, ff: 4096, heads: 16 }),
    image: 336,
    positions: 24 ** 2 + 1,
  },
  {
    name: "SigLIP so400m (896 pixels)",
    family: clipFamily({ layers: 27, d: 1152, ff: 4304, heads: 16 }),
    image: 896,
    positions: 64 ** 2 + 1,
  },
  {
    name: "Qwen3-VL 4B (images of any size)",
    family: mergerFamily({ layers: 24, d: 1024, ff: 4096, heads: 16, output: OUTPUT }),
    image: 768,
    positions: 48 ** 2,
  },
  {
    name: "Qwen3-VL 8B (images of any size)",
    family: mergerFamily({ layers: 27, d: 1152, ff: 4304, heads: 16, output: OUTPUT }),
    image: 768,
    positions: 48 ** 2,
  },
];

const dir = await mkdtemp(join(tmpdir(), "prism-projectors-"));
try {
  const found = findEnginePackage();
  const llama = openLlamaLibrary(found);
  llama.loadBackends(llama.dir);
  llama.backendInit();
  const path = findVisionLibrary(found);
  if (path === undefined) throw new Error("libmtmd is not built; prism doctor --build-mtmd builds it");
  const mtmd = openMtmdLibrary(path);
  const text = await writeTiny("llama", dir, { values: { embedding_length: ["u32", OUTPUT] }, hollow: true });
  const model = llama.loadModel(text, llama.modelDefaults());
  if (model === null) throw new Error("the text model does not load");
  for (const { name, family, image, positions } of PROJECTORS) {
    const file = join(dir, "mmproj.gguf");
    await writeGguf(file, {
      keyValues: [
        { key: "general.architecture", type: "string", value: family.arch },
        ...family.keyValues.map((entry) =>
          entry.key === "clip.vision.image_size" ? { ...entry, value: image } : entry,
        ),
      ],
      tensors: family.tensors.map(({ name: tensor, shape, fill, f32 }) => ({
        name: tensor,
        shape: shapeOf(tensor, shape, positions),
        type: fill === "weight" && f32 !== true ? "F16" : "F32",
      })),
    });
    const open = await openLocalModel(file);
    await open.close();
    console.log(`${name}: estimated ${(projectorComputeBytes(open.model) / MIB).toFixed(2)} MiB; libmtmd says:`);
    // its log is on stderr
    const vision = mtmd.init(file, model, { ...mtmd.defaults(), use_gpu: false, warmup: true, print_timings: false });
    // where it is of no width that fits the text model, it was warmed up before it is refused
    if (vision !== null) mtmd.free(vision);
    await rm(file);
  }
} finally {
  await rm(dir, { recursive: true });
}

function shapeOf(name: string, shape: readonly number[], positions: number): readonly number[] {
  if (name === "v.position_embd.weight") return [shape[0] ?? 1, positions];
  return name === "mm.2.weight" ? [shape[0] ?? 1, OUTPUT] : name === "mm.2.bias" ? [OUTPUT] : shape;
}
