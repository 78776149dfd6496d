import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Constraint } from "../../src/allocate/problem.ts";
import { InfeasibleError, UsageError } from "../../src/errors.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { type VramAsked, type VramBudget, vramBudget } from "../../src/intake/vram-budget.ts";
import { openBench } from "../../src/open-bench.ts";
import { bytesForWeights, weightsOnGpu } from "../../src/plan/budget-memory.ts";
import { analyzeModel } from "../../src/verbs/analyze.ts";
import { plan } from "../../src/verbs/plan.ts";
import { vramOf } from "../../src/verbs/vram-request.ts";
import { writeTiny } from "../fixtures/tiny-models.ts";

const MODEL = "models/books-llama-8m-f16.gguf";
const MIB = 2 ** 20;
const dir = await mkdtemp(join(tmpdir(), "prism-vram-"));
afterAll(() => rm(dir, { recursive: true }));

const F16 = { k: "F16", v: "F16" } as const;
const asked = (vramBytes: number, context: number, kv: VramAsked["context"]["kv"] = F16): VramAsked => ({
  vramBytes,
  context: { context, parallel: 1, kv },
  text: `--vram ${vramBytes} --ctx ${context}`,
});

async function budgetOf(
  path: string,
  request: VramAsked,
  constraints: readonly Constraint[] = [],
  types?: readonly TensorType[],
): Promise<VramBudget> {
  const open = await openLocalModel(path);
  try {
    return vramBudget(open, request, { constraints, types });
  } finally {
    await open.close();
  }
}

describe("the budget that a GPU's memory leaves", () => {
  it("has keys and values of eight layers of 256, and grows by what the memory grows", async () => {
    const { budget } = await budgetOf(MODEL, asked(600 * MIB, 1024));
    expect(budget.memory.kvBytes).toBe(8 * 2 * 128 * 2 * 1024);
    const { budget: more } = await budgetOf(MODEL, asked(601 * MIB, 1024));
    expect(Number(more.kind === "fileBytes" && more.value) - Number(budget.kind === "fileBytes" && budget.value)).toBe(
      MIB,
    );
  });

  it("counts the input embeddings beside it, in the type that they get at least", async () => {
    const { budget, floors } = await budgetOf(MODEL, asked(552.5e6, 1024));
    expect(budget.memory.notOnGpu).toEqual(["token_embd.weight"]);
    expect(floors).toEqual([{ kind: "floor", pattern: "^token_embd\\.weight$", type: "Q2_K", builtIn: true }]);
    const own: Constraint = { kind: "ban", pattern: "token_embd", type: "Q2_K" };
    expect((await budgetOf(MODEL, asked(552.5e6, 1024), [own])).floors).toEqual([]);
  });

  it("counts a tied head on the GPU", async () => {
    const path = await writeTiny("gemma3", dir, { hollow: true });
    const { budget, floors } = await budgetOf(path, asked(600 * MIB, 1024));
    expect(budget.memory.notOnGpu).toEqual([]);
    expect(floors).toEqual([]);
  });

  it("says what would fit, which does", async () => {
    const error = await budgetOf(MODEL, asked(745e6, 131_072)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InfeasibleError);
    const { message } = error as InfeasibleError;
    const [, context = "", quantized = "", memory = ""] =
      /what would fit: --ctx (\d+), or --kv q8_0 --ctx (\d+), or --vram ([\d.]+)GB$/.exec(message) ?? [];
    await budgetOf(MODEL, asked(745e6, Number(context)));
    await budgetOf(MODEL, asked(745e6, Number(quantized), { k: "Q8_0", v: "Q8_0" }));
    await budgetOf(MODEL, asked(Number(memory) * 1e9, 131_072));
    await expect(budgetOf(MODEL, asked(745e6, Number(context) + 1024))).rejects.toThrow(InfeasibleError);
  });

  it("refuses caches that llama.cpp does", async () => {
    const path = await writeTiny("deepseek2", dir, { hollow: true });
    await expect(budgetOf(path, asked(600 * MIB, 1024, { k: "Q8_0", v: "F16" }))).rejects.toThrow(UsageError);
  });
});

it("a plan of it fits the GPU", async () => {
  const bench = await openBench({ threads: 2, cacheDir: "none" });
  const analysis = await analyzeModel(MODEL, { targetRelativeSe: 0.1 }, bench).finally(() => bench.close());
  for (const [vram, kv] of [
    ["551.8MB", "f16"],
    ["553MB", "q8_0,q4_0"],
    ["556MB", "f16"],
  ] as const) {
    const made = await plan(
      analysis,
      { vram, ctx: "1k", kv },
      () => Promise.reject(new Error("no bench")),
      () => {},
    );
    const { memory } = made.budget;
    if (memory === undefined) throw new Error("no memory");
    expect(weightsOnGpu(made.tensors, memory)).toBeLessThanOrEqual(bytesForWeights(memory));
    expect(made.warnings.filter((warning) => warning.startsWith("over"))).toEqual([]);
    expect(made.warnings).toContain("--ctx 1024: 1,024 tokens a sequence, and the model was trained on 256");
  }
});

describe("a wish", () => {
  it("is parsed as people write it", () => {
    expect(vramOf({ vram: "6GB", ctx: "32k", kv: "Q8_0,q4_0", parallel: "4" })).toMatchObject({
      vramBytes: 6e9,
      context: 32_768,
      kv: { k: "Q8_0", v: "Q4_0" },
      sequences: 4,
    });
    expect(vramOf({})).toBeUndefined();
  });

  it.each([
    [{ ctx: 8192 }, "--ctx 8192: goes with a GPU's memory; give that too, like --vram 6GB"],
    [{ vram: "6GB", kv: "q4_k" }, "expected a type of llama.cpp's cache, one of f32"],
    [{ vram: "6GB", kv: "q8_0,q8_0,q8_0" }, "expected one type, or two"],
    [{ vram: "6GB", ctx: "much" }, '--ctx: expected a whole number from 1 to 2147483647, got "much"'],
    [{ vram: "6GB", parallel: 0 }, "--parallel: expected a whole number from 1 to 256"],
    [{ vram: "6GB", ctx: 2, parallel: 4 }, "less than a token a sequence"],
    [{ vram: "6 apples" }, "expected a number and a unit"],
  ])("that is wrong is refused: %j", (request, message) => {
    expect(() => vramOf(request)).toThrow(message);
  });
});
