import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { InfeasibleError, UsageError } from "../../src/errors.ts";
import { openBench } from "../../src/open-bench.ts";
import {
  type BudgetMemory,
  bytesForWeights,
  bytesInRam,
  weightsInRam,
  weightsOnGpu,
} from "../../src/plan/budget-memory.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { recostPlan } from "../../src/plan/recost.ts";
import { askedBudget, replan } from "../../src/plan/replan.ts";
import { serverCommand } from "../../src/plan/server-arguments.ts";
import { memoryTable } from "../../src/report/terminal/memory-table.ts";
import { analyzeModel } from "../../src/verbs/analyze.ts";
import { plan } from "../../src/verbs/plan.ts";
import type { PlanningRequest } from "../../src/verbs/planning-request.ts";
import { writeTiny } from "../fixtures/tiny-models.ts";
import type { TinyValue } from "../fixtures/tiny-values.ts";

const u32 = (value: number): TinyValue => ["u32", value];
const VALUES = {
  block_count: u32(4),
  expert_count: u32(8),
  expert_feed_forward_length: u32(256),
  context_length: u32(32_768),
};
const LAYERS = 4;

let dir: string;
let analysis: Analysis;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-experts-"));
  const path = await writeTiny("qwen3moe", dir, { values: VALUES });
  const bench = await openBench({ threads: 2, cacheDir: "none" });
  analysis = await analyzeModel(path, { targetRelativeSe: 0.2 }, bench).finally(() => bench.close());
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const planned = (request: PlanningRequest): Promise<Plan> =>
  plan(
    analysis,
    { ctx: 256, ...request },
    () => Promise.reject(new Error("no bench")),
    () => {},
  );

function memoryOf({ budget }: Plan): BudgetMemory & { readonly experts: NonNullable<BudgetMemory["experts"]> } {
  const { memory } = budget;
  if (memory?.experts === undefined) throw new Error("no experts in RAM");
  return { ...memory, experts: memory.experts };
}

const MARGIN = 2 ** 30;
/** Bytes beside what llama.cpp takes of a GPU for 256 tokens of this model, and beside the margin of RAM. */
const vram = (mib: number) => 545e6 + mib * 1e6;
const ram = (mib: number) => MARGIN + mib * 1e6;

describe("experts in RAM", () => {
  it.each([
    [2, 2],
    [3, 1.5],
    [4, 0.8],
    [2.2, 8],
  ])("%f MB of GPU and %f MB of RAM are not exceeded", async (gpuMb, ramMb) => {
    const made = await planned({ vram: vram(gpuMb), ram: ram(ramMb) });
    const memory = memoryOf(made);
    const [gpu, host] = [weightsOnGpu(made.tensors, memory), weightsInRam(made.tensors, memory)];
    expect(gpu).toBeLessThanOrEqual(bytesForWeights(memory));
    expect(host).toBeLessThanOrEqual(bytesInRam(memory.experts));
    expect(made.warnings.filter((warning) => warning.startsWith("over"))).toEqual([]);
    expect(made.predicted.fileBytes).toBeLessThanOrEqual(made.budget.fileBytes);
    const inRam = made.tensors.filter(({ name }) => memory.notOnGpu.includes(name));
    const layers = new Set(inRam.map(({ name }) => Number(/^blk\.(\d+)\./.exec(name)?.[1])).filter(Number.isInteger));
    expect([...layers].sort()).toEqual(Array.from({ length: memory.experts.layers }, (_, layer) => layer));
    expect(memory.experts.allLayers).toBe(memory.experts.layers === LAYERS);
  });

  it("stay on the GPU as far as it has room", async () => {
    const layers = async (gpuMb: number) => memoryOf(await planned({ vram: vram(gpuMb), ram: ram(4) })).experts.layers;
    expect(await layers(2)).toBeGreaterThan(await layers(6));
  });

  it("are held to constraints, each where it has tensors", async () => {
    const made = await planned({ vram: vram(3), ram: ram(3), pin: ["blk.0.ffn_down_exps=Q4_K", "attn_v=Q6_K"] });
    const types = new Map(made.tensors.map(({ name, type }) => [name, type]));
    expect([types.get("blk.0.ffn_down_exps.weight"), types.get("blk.3.attn_v.weight")]).toEqual(["Q4_K", "Q6_K"]);
    await expect(planned({ vram: vram(3), ram: ram(3), ban: ["nowhere=Q4_K"] })).rejects.toThrow(UsageError);
  });

  it("are planned the same again from the plan", async () => {
    const made = await planned({ vram: vram(3), ram: ram(2) });
    const again = replan(made, { budget: askedBudget(made), createdAt: made.createdAt });
    expect(again.tensors.map(({ type }) => type)).toEqual(made.tensors.map(({ type }) => type));
  });

  it("keep their bound when the plan is priced anew", async () => {
    const made = await planned({ vram: vram(3), ram: ram(2) });
    expect(recostPlan(made).predicted.lowerBound).toBeCloseTo(made.predicted.lowerBound, 6);
  });

  it("are told of, with how the file runs, in 80 columns", async () => {
    const made = await planned({ vram: vram(2), ram: ram(8), kv: "q8_0" });
    const table = memoryTable(made, "model.gguf") ?? "";
    expect(table).toMatch(/^GPU .*\nweights .*\n[\s\S]*\n\nRAM .*\nweights .* experts of /);
    expect(table.split("\n").filter((line) => line.length > 80)).toEqual([]);
    const memory = memoryOf(made);
    const all = { ...memory, experts: { ...memory.experts, allLayers: true } };
    expect(serverCommand(all, "model.gguf")).toBe(
      "llama-server -m model.gguf -ngl 999 -c 256 -ctk q8_0 -ctv q8_0 -np 1 -ot exps=CPU",
    );
    const some = { ...memory, experts: { ...memory.experts, layers: 3, allLayers: false } };
    expect(serverCommand(some, "model.gguf")).toMatch(/ --n-cpu-moe 3$/);
  });

  it("need memory, and a model that has some", async () => {
    const error = await planned({ vram: vram(2), ram: ram(0.1) }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InfeasibleError);
    expect((error as Error).message).toMatch(/needs [\d.]+ MB of --vram and [\d.]+ GB of --ram/);
    const dense = await writeTiny("qwen3", dir, { hollow: true });
    const other = { ...analysis, model: { ...analysis.model, path: dense } };
    await expect(
      plan(
        other,
        { vram: "1GB", ram: "4GB" },
        () => Promise.reject(new Error("no bench")),
        () => {},
      ),
    ).rejects.toThrow("this model has none; leave --ram out");
    await expect(planned({ ram: "4GB", bpw: 4 })).rejects.toThrow("--ram 4GB: goes with a GPU's memory");
  });
});
