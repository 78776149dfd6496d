/** The rules of src/ggml against llama.cpp itself: its dry run's types, its printed bpw, the bytes of its files. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { bpw, fileBytes } from "../../src/ggml/file-bytes.ts";
import { FILE_TYPES, type FileType } from "../../src/ggml/file-types.ts";
import { outputOrder, stockTypes } from "../../src/ggml/stock-mix.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import type { Model } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { ARCHITECTURE_NAMES, whyNoHoles, writeArchitecture } from "../fixtures/architectures.ts";
import { REWRITTEN_LAYERS, rewrittenLayers } from "../fixtures/rewritten-layers.ts";
import { RUNNABLE_KINDS, writeRunnable } from "../fixtures/runnable.ts";

const COMPARED: readonly FileType[] = [
  "Q2_K",
  "Q2_K_S",
  "Q3_K_S",
  "Q3_K_M",
  "Q3_K_L",
  "Q4_K_S",
  "Q4_K_M",
  "Q5_K_S",
  "Q5_K_M",
  "Q6_K",
  "IQ2_XXS",
  "IQ2_M",
  "IQ3_XXS",
  "IQ3_XS",
  "IQ3_S",
  "IQ3_M",
  "IQ4_XS",
  "IQ4_NL",
  "Q8_0",
  "Q4_0",
  "Q5_0",
  "MXFP4_MOE",
];

/** These mixes ask for the heads of layer 0, and llama.cpp aborts where the model has no layers, as a clip has none. */
const NEEDS_LAYERS: readonly FileType[] = [
  "Q2_K",
  "Q2_K_S",
  "IQ2_XXS",
  "IQ2_M",
  "IQ3_XXS",
  "IQ3_XS",
  "IQ3_S",
  "IQ4_XS",
  "IQ4_NL",
];

const dir = await mkdtemp(join(tmpdir(), "prism-dry-run-"));
const noHoles = await whyNoHoles(dir);
const noEngine = whyNoEngine();
let engine: Engine;

beforeAll(async () => {
  if (noEngine === undefined) engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine?.close();
  await rm(dir, { recursive: true, force: true });
});

function whyNoEngine(): string | undefined {
  try {
    findEnginePackage();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function readModel(path: string): Promise<Model> {
  const file = await openModel(path);
  await file.close();
  return file.model;
}

interface Types {
  /** "name type" per tensor, in output order. */
  readonly tensors: readonly string[];
  /** Two decimals, as printed. */
  readonly bpw: string;
}

function predict(model: Model, fileType: FileType): Types {
  const types = stockTypes(readFacts(model), model.tensors, fileType);
  const ordered = outputOrder(model.tensors).map((tensor) => ({
    ...tensor,
    type: types.get(tensor.name) as TensorType,
  }));
  return { tensors: ordered.map(({ name, type }) => `${name} ${type}`), bpw: bpw(ordered).toFixed(2) };
}

async function dryRun(path: string, fileType: FileType): Promise<Types> {
  const job = { source: path, output: join(dir, "none.gguf"), fileType, overrides: [], threads: 1, dryRun: true };
  const outcome = await engine.quantize(job);
  return { tensors: outcome.tensors.map(({ name, type }) => `${name} ${type}`), bpw: outcome.bpw?.toFixed(2) ?? "" };
}

async function expectSameTypes(path: string, fileTypes: readonly FileType[]): Promise<void> {
  const model = await readModel(path);
  for (const fileType of fileTypes) {
    expect({ fileType, ...predict(model, fileType) }).toEqual({ fileType, ...(await dryRun(path, fileType)) });
  }
}

const title = (text: string, reason = noEngine) => (reason === undefined ? text : `${text} (skipped: ${reason})`);

describe.skipIf(noEngine !== undefined)("stock types equal the dry run of llama.cpp", () => {
  it.each(RUNNABLE_KINDS)(title("%s"), async (kind) => {
    const hasLayers = kind !== "clip" && kind !== "qwen3vl-mmproj";
    const fileTypes = hasLayers ? COMPARED : COMPARED.filter((type) => !NEEDS_LAYERS.includes(type));
    await expectSameTypes(await writeRunnable(kind, dir), fileTypes);
  });

  it.skipIf(noHoles !== undefined).each(ARCHITECTURE_NAMES)(title("%s", noEngine ?? noHoles), async (name) => {
    const path = await writeArchitecture(name, dir);
    await expectSameTypes(path, COMPARED);
    await rm(path);
  });

  it.each(REWRITTEN_LAYERS)(title("%s, whose loader changes the number of layers"), async (arch) => {
    const path = join(dir, `${arch}.gguf`);
    await writeGguf(path, rewrittenLayers(arch));
    await expectSameTypes(path, COMPARED);
  });
});

describe.skipIf(noEngine !== undefined)("file bytes equal the files of llama.cpp", () => {
  it.each(RUNNABLE_KINDS)(title("%s in Q4_K_M and Q8_0"), async (kind) => {
    const source = await writeRunnable(kind, dir);
    const model = await readModel(source);
    const output = join(dir, "quantized.gguf");
    const facts = readFacts(model);
    for (const fileType of ["Q4_K_M", "Q8_0"] as const) {
      const fixAlignment = model.alignment !== 32;
      await engine.quantize({ source, output, fileType, overrides: [], threads: 2, fixAlignment });
      const types = stockTypes(facts, model.tensors, fileType);
      const sized = model.tensors.map(({ name, shape }) => ({ shape, type: types.get(name) as TensorType }));
      expect((await stat(output)).size).toBe(fileBytes(facts.outputHeaderBytes, sized));
      const written = await readModel(output);
      expect(written.tensors.map(({ name, type }) => `${name} ${type}`)).toEqual(predict(model, fileType).tensors);
      expect(written.metadata.get("general.file_type")).toBe(FILE_TYPES[fileType].id);
    }
  });
});

describe.skipIf(noEngine !== undefined)("llama.cpp", () => {
  it(title("aborts on a clip under a mix that asks for heads, and the engine survives it"), async () => {
    const path = await writeRunnable("clip", dir);
    await expect(dryRun(path, "IQ4_XS")).rejects.toMatchObject({ code: "engine" });
    expect((await dryRun(path, "Q4_K_M")).tensors).toHaveLength((await readModel(path)).tensors.length);
  });
});
