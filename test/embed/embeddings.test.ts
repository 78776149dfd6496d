import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cosine, isEmbedder, openEmbedder, poolingOf } from "../../src/embed/embedder.ts";
import { evaluateEmbeddings } from "../../src/embed/embeddings.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { FormatError } from "../../src/errors.ts";
import { readEvaluation } from "../../src/evaluate/read-evaluation.ts";
import { openLocalModel, openModel } from "../../src/gguf/open.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { testBench } from "../bench.ts";
import { writeRankingSet } from "../fixtures/ranking-set.ts";
import { type RunnableKind, runnableGguf, writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
let set: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-embed-"));
  set = await writeRankingSet(dir);
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const bench = () => testBench(engine);

async function quantized(source: string, name: string): Promise<string> {
  const output = join(dir, name);
  await engine.quantize({ source, output, fileType: "Q4_0", overrides: [], threads: 1 });
  return output;
}

async function withOpen<Result>(path: string, use: (open: Awaited<ReturnType<typeof openModel>>) => Result) {
  const open = await openModel(path);
  try {
    return await use(open);
  } finally {
    await open.close();
  }
}

describe("which models embed", () => {
  it.each([
    ["embedder", true],
    ["qwen3-embedder", true],
    ["cross-encoder", false],
    ["reranker", false],
    ["llama", false],
  ] as const)("%s: %s", async (kind, embeds) => {
    expect(await withOpen(await writeRunnable(kind, dir), isEmbedder)).toBe(embeds);
  });

  it("says which key is missing where a model does not say how it pools, and takes it from the person", async () => {
    const path = join(dir, "unsaid.gguf");
    const file = runnableGguf("embedder");
    const keyValues = file.keyValues.filter(({ key }) => key !== "bert.pooling_type");
    await writeGguf(path, { ...file, keyValues });
    await withOpen(path, (open) => {
      expect(() => poolingOf(open)).toThrow(FormatError);
      expect(() => poolingOf(open)).toThrow(/bert\.pooling_type.*--pooling/);
      expect(poolingOf(open, "cls")).toBe("cls");
    });
  });
});

describe("texts as vectors", () => {
  it.each(["embedder", "qwen3-embedder"] as const)(
    "of %s are of length 1, and depend on no other text",
    async (kind) => {
      await withOpen(await writeRunnable(kind, dir), async (open) => {
        const embedder = await openEmbedder(open, {}, bench());
        try {
          const texts = ["Paris is its capital.", "A banana.", "Lyon"];
          const together = await embedder.embed(texts);
          for (const [index, { vector, tokens, truncated }] of together.entries()) {
            expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
            expect(tokens).toBeGreaterThan(0);
            expect(truncated).toBe(false);
            const [alone] = await embedder.embed([texts[index] as string]);
            expect(alone?.vector).toEqual(vector);
          }
          expect(cosine(together[0]?.vector ?? vectorless, together[1]?.vector ?? vectorless)).toBeLessThan(0.999);
        } finally {
          await embedder.close();
        }
      });
    },
  );
  const vectorless = new Float32Array();

  it("are pooled as asked", async () => {
    await withOpen(await writeRunnable("embedder", dir), async (open) => {
      const vectors: Float32Array[] = [];
      for (const pooling of ["mean", "cls", "last"] as const) {
        const embedder = await openEmbedder(open, { pooling }, bench());
        vectors.push((await embedder.embed(["Paris is its capital."]))[0]?.vector ?? vectorless);
        await embedder.close();
      }
      const [mean = vectorless, cls = vectorless, last = vectorless] = vectors;
      expect(cosine(mean, cls)).toBeLessThan(0.9999);
      expect(cosine(cls, last)).toBeLessThan(0.9999);
    });
  });

  it("are of the beginning of a text that is too long, and its end token", async () => {
    await withOpen(await writeRunnable("embedder", dir), async (open) => {
      const embedder = await openEmbedder(open, { context: 16 }, bench());
      const [long] = await embedder.embed(["The Eiffel Tower is a landmark of Paris, France. ".repeat(9)]);
      await embedder.close();
      expect(long).toMatchObject({ tokens: 16, truncated: true });
    });
  });
});

describe("an evaluation by embeddings", () => {
  const evaluate = (models: string[], reference?: string, more = {}) =>
    evaluateEmbeddings(models, { set, reference, ...more }, bench());

  it.each(["embedder", "qwen3-embedder"] as RunnableKind[])(
    "of %s finds no drift in itself, and some in four bits",
    async (kind) => {
      const source = await writeRunnable(kind, dir);
      const small = await quantized(source, `${kind}-q4.gguf`);
      const evaluation = await evaluate([source, small], source);
      const [own, other] = evaluation.models;
      expect(own?.embedding.fidelity).toMatchObject({ drift: { value: 0, se: 0 }, overlap10: 100, top1Agreement: 100 });
      expect(other?.embedding.fidelity?.drift.value).toBeGreaterThan(1e-5);
      expect(other?.embedding.fidelity?.drift.value).toBeLessThan(0.2);
      // 2 queries and 4 documents, each once
      expect(other?.embedding.fidelity?.perText).toHaveLength(6);
      expect(evaluation.retrievalSet.documents).toBe(4);
      expect(own?.embedding).toMatchObject({ pooling: kind === "embedder" ? "mean" : "last", dimensions: 256 });
      expect(own?.embedding.ndcg10?.value).toBeGreaterThan(0);
      expect(readEvaluation(JSON.stringify(evaluation), "e.json")).toEqual(evaluation);
    },
  );

  it("without a reference has no drift", async () => {
    const [model] = (await evaluate([await writeRunnable("embedder", dir)])).models;
    expect(model?.embedding.fidelity).toBeUndefined();
    expect(model?.embedding.tokens).toBeGreaterThan(6);
  });

  it("puts the prefixes before the texts, and says so", async () => {
    const source = await writeRunnable("embedder", dir);
    const plain = await evaluate([source]);
    const prefixed = await evaluate([source], undefined, { queryPrefix: "query: ", documentPrefix: "passage: " });
    expect(prefixed.retrievalSet).toMatchObject({ queryPrefix: "query: ", documentPrefix: "passage: " });
    expect(prefixed.models[0]?.embedding.tokens).toBeGreaterThan(plain.models[0]?.embedding.tokens ?? 0);
  });

  it("refuses a model of other tokens", async () => {
    const source = await writeRunnable("embedder", dir);
    const other = await writeRunnable("qwen3-embedder", dir);
    await expect(evaluate([other], source)).rejects.toThrow(/its tokens are not those of the reference/);
  });

  it("refuses a model of another width", async () => {
    const source = await writeRunnable("embedder", dir);
    const file = runnableGguf("embedder", { sizes: { layers: 2, d: 128, ff: 256, heads: 4, kvHeads: 2 } });
    const narrow = join(dir, "narrow.gguf");
    await writeGguf(narrow, file);
    await expect(evaluate([narrow], source)).rejects.toThrow(/vectors have 128 numbers, those of the reference .* 256/);
  });

  it("refuses weights that embed as nothing", async () => {
    const path = join(dir, "nan.gguf");
    await writeGguf(path, runnableGguf("embedder", { nan: true }));
    await expect(evaluate([path])).rejects.toThrow(/vector of length NaN/);
  });

  it("closes its models", async () => {
    const source = await writeRunnable("embedder", dir);
    await evaluate([source], source);
    const open = await openLocalModel(source);
    await open.close();
    await rm(source);
  });
});
