import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { inspect } from "../../src/preflight/inspect.ts";
import type { MemoryQuestion } from "../../src/preflight/inspect-memory.ts";
import type { Inspection } from "../../src/preflight/inspection.ts";
import { renderInspection } from "../../src/report/terminal/inspection-text.ts";
import { memoryQuestionOf } from "../../src/verbs/vram-request.ts";
import { writeTiny } from "../fixtures/tiny-models.ts";

const MODEL = "models/books-llama-8m-f16.gguf";
const dir = await mkdtemp(join(tmpdir(), "prism-inspect-memory-"));
afterAll(() => rm(dir, { recursive: true }));

async function inspected(path: string, question: MemoryQuestion = {}): Promise<Inspection> {
  const { model, close } = await openLocalModel(path).then((open) => ({
    model: open.model,
    close: () => open.close(),
  }));
  await close();
  return inspect(model, [], { question });
}

describe("the memory of an inspected model", () => {
  it("is that of its presets, at the context it was trained on where it knows no longer one", async () => {
    const { memory, presets } = await inspected(MODEL);
    expect(memory?.contexts).toMatchObject([{ context: 256, kvBytes: 8 * 2 * 128 * 2 * 256, stateBytes: 0 }]);
    const [q2, q8] = [presets[0], presets.at(-1)].map((preset) => preset?.memory?.[0]?.totalBytes ?? 0);
    expect(q8).toBeGreaterThan(q2 ?? 0);
    // the embeddings of Q8_0, two million weights of 4.25 bits more, are not on the GPU
    const differ = (presets.at(-1)?.fileBytes ?? 0) - (presets[0]?.fileBytes ?? 0);
    expect((q8 ?? 0) - (q2 ?? 0)).toBeLessThan(differ);
  });

  it("says what fits, in 80 columns", async () => {
    const question = memoryQuestionOf({ vram: "570MB", ctx: "32k,4k,4096,8k,128k", kv: "q8_0", parallel: 2 });
    const inspection = await inspected(MODEL, question);
    const { asIs = [], contexts = [] } = inspection.memory ?? {};
    expect(contexts.map(({ context }) => context)).toEqual([4096, 8192, 32_768, 131_072]);
    expect(asIs.map(({ fits }) => fits)).toEqual([true, false, false, false]);
    const table =
      renderInspection(inspection)
        .split("\n\n")
        .find((block) => block.startsWith("GPU memory at")) ?? "";
    expect(table.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(table).toMatch(/^GPU memory at +4,096 +8,192 +32,768 +131,072 {2}tokens\n/);
    expect(table).toMatch(/\nas it is +[\d.]+ MB \* +[\d.]+ MB +[\d.]+ MB +[\d.]+ MB\n\*: fits 570\.00 MB\./);
  });

  it("puts contexts that have no room below, and says which are longer than the model was trained on", async () => {
    const contexts = ["2,048", "4,096", "8,192", "12,288", "16,384"];
    const text = renderInspection(await inspected(MODEL, memoryQuestionOf({ vram: "900MB", ctx: "2k,4k,8k,12k,16k" })));
    const headings = text.split("\n").filter((line) => line.startsWith("GPU memory at"));
    expect(headings.map((line) => line.split(/ {2,}/))).toEqual([
      ["GPU memory at", ...contexts.slice(0, 3), "tokens"],
      ["GPU memory at", ...contexts.slice(3), "tokens"],
    ]);
    expect(text.split("\n").filter((line) => line.length > 80 || line.endsWith(" "))).toEqual([]);
    expect(text).toContain("\n! --ctx 16384: 16,384 tokens a sequence, and the model was trained on 256\n");
    expect(renderInspection(await inspected(MODEL))).not.toContain("! --ctx");
  });

  it("says where the embeddings are: on the GPU too where the head is tied to them", async () => {
    const own = await inspected(MODEL);
    expect(own.memory?.embeddings).toBe("RAM");
    expect(renderInspection(own).replaceAll("\n", " ")).toContain("; embeddings stay in RAM.");
    const open = await openLocalModel(MODEL);
    await open.close();
    const tied = inspect(
      { ...open.model, tensors: open.model.tensors.filter(({ name }) => name !== "output.weight") },
      [],
    );
    expect(tied.memory?.embeddings).toBe("RAM and GPU");
    expect(renderInspection(tied)).not.toContain("in RAM");
  });

  it("has the states of recurrent layers", async () => {
    const { memory } = await inspected(await writeTiny("mamba", dir, { hollow: true }));
    expect(memory?.contexts[0]).toMatchObject({ kvBytes: 0, stateBytes: expect.any(Number) });
    expect(memory?.contexts[0]?.stateBytes).toBeGreaterThan(0);
  });

  it("is absent where the header does not tell", async () => {
    const path = await writeTiny("llama", dir, { hollow: true });
    const open = await openLocalModel(path);
    await open.close();
    const metadata = new Map([...open.model.metadata].filter(([key]) => key !== "llama.block_count"));
    const keyTypes = new Map([...open.model.keyTypes].filter(([key]) => key !== "llama.block_count"));
    expect(inspect({ ...open.model, metadata, keyTypes }, []).memory).toBeUndefined();
  });

  it("refuses caches and contexts that can't be", async () => {
    const path = await writeTiny("deepseek2", dir, { hollow: true });
    await expect(inspected(path, memoryQuestionOf({ kv: "q8_0,f16" }))).rejects.toThrow(UsageError);
    expect(() => memoryQuestionOf({ ctx: "" })).toThrow(UsageError);
    expect(() => memoryQuestionOf({ ctx: [] })).toThrow("expected 1 to 16 contexts, got 0");
  });
});
