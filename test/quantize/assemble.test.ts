import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { assembledSpec } from "../../src/quantize/assemble.ts";
import { encodeTensor, rowsOf } from "../../src/quantize/encode-tensor.ts";
import { planSpec, withNotes } from "../../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "./made-up-analysis.ts";
import { writeMadeUpImatrix } from "./made-up-imatrix.ts";

const BUNDLED = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");

let folder: string;
let bench: OpenedBench;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-assemble-"));
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none" });
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const within = (name: string) => join(folder, name);

async function planned(path: string, fileType: Plan["baseFileType"], imatrixPath?: string) {
  const imatrix = imatrixPath === undefined ? undefined : await readImatrix(imatrixPath);
  const analysis = await madeUpAnalysis(path, imatrix);
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "like", fileType } });
  return { plan, imatrix };
}

/** Each tensor in three ranges of rows, of which the borders are anywhere. */
function inRanges(source: OpenModel, spec: QuantizeSpec): QuantizeSpec {
  return assembledSpec(source, spec, async function* (tensor, type) {
    const count = rowsOf(tensor);
    const borders = [0, Math.floor(count / 3), Math.floor((count * 4) / 5), count];
    for (const [index, to] of borders.slice(1).entries()) {
      const rows = { from: borders[index] as number, to };
      yield* encodeTensor(source, { tensor, type, imatrix: spec.imatrix, rows }, bench);
    }
  });
}

/** The bytes of what llama-quantize writes, and of what is put together. */
async function both(path: string, spec: QuantizeSpec): Promise<[Buffer[], Buffer[]]> {
  const source = await openModel(path);
  try {
    const request = { force: true };
    const whole = await quantize(source, spec, request, bench);
    const theirs = await Promise.all((whole.parts ?? [whole.path]).map((file) => readFile(file)));
    const made = await quantize(source, inRanges(source, spec), request, bench);
    const ours = await Promise.all((made.parts ?? [made.path]).map((file) => readFile(file)));
    return [theirs, ours];
  } finally {
    await source.close();
  }
}

async function expectSame(path: string, spec: QuantizeSpec): Promise<number> {
  const [theirs, ours] = await both(path, spec);
  expect(ours.map((file) => file.length)).toEqual(theirs.map((file) => file.length));
  expect(ours.every((file, index) => file.equals(theirs[index] as Buffer))).toBe(true);
  return ours.length;
}

describe("a file put together from its tensors", () => {
  it("is llama-quantize's to the byte, whole and in parts", async () => {
    const { plan } = await planned(BUNDLED, "Q3_K_M");
    expect(await expectSame(BUNDLED, planSpec(plan, within("whole.gguf")))).toBe(1);
    const split = { maxBytes: 1.5e6 };
    expect(await expectSame(BUNDLED, { ...planSpec(plan, within("split.gguf")), split })).toBeGreaterThan(2);
  });

  it("has the importance matrix in its codes and in its keys, and the strings it is to carry", async () => {
    const file = await writeMadeUpImatrix(BUNDLED, within("imatrix.gguf"), ["blk.1.ffn_up"], "bücher.txt");
    const { plan, imatrix } = await planned(BUNDLED, "IQ4_XS", file);
    const spec = planSpec(plan, within("weighted.gguf"), imatrix);
    await expectSame(BUNDLED, withNotes(plan, spec, new Map([["prism.note", "a note".repeat(40)]])));
  });

  it.each<RunnableKind>(["moe", "split", "align64", "bf16", "odd-rows", "gpt2"])(
    "of a model of kind %s",
    async (kind) => {
      const path = await writeRunnable(kind, folder);
      const imatrixFile = await writeMadeUpImatrix(path, within(`${kind}-imatrix.gguf`));
      const { plan, imatrix } = await planned(path, "Q4_K_M", imatrixFile);
      await expectSame(path, planSpec(plan, within(`${kind}-out.gguf`), imatrix));
    },
  );

  it("is not made of what llama-quantize refuses", async () => {
    const engine = bench.engine.library;
    const data = new Uint8Array(Float32Array.from({ length: 32 }, (_, i) => (i === 7 ? Number.NaN : i)).buffer);
    const job = { sourceType: "F32", type: "Q8_0", rowElements: 32, data } as const;
    await expect(engine?.encode?.(job)).rejects.toThrow(/not finite/);
    await expect(engine?.encode?.({ ...job, type: "F32" })).rejects.toThrow(/not finite/);
    await expect(engine?.encode?.({ ...job, rowElements: 64 })).rejects.toThrow(/not whole rows/);
  });
});
