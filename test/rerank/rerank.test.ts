import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { openModel } from "../../src/gguf/open.ts";
import { type NewGguf, writeGguf } from "../../src/gguf/writer.ts";
import { evaluateRerank, openRerankSession } from "../../src/rerank/rerank.ts";
import { sigmoid } from "../../src/rerank/rerank-head.ts";
import { openRerankScorer } from "../../src/rerank/rerank-scorer.ts";
import { describeReranker, isReranker } from "../../src/rerank/reranker.ts";
import { testBench } from "../bench.ts";
import { writeRankingSet } from "../fixtures/ranking-set.ts";
import { type RunnableKind, runnableGguf, writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
let set: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-rerank-"));
  set = await writeRankingSet(dir);
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const bench = () => testBench(engine);
const rank = (models: string[], reference?: string) => evaluateRerank(models, { set, reference }, bench());

async function writeChanged(kind: RunnableKind, name: string, change: (file: NewGguf) => NewGguf): Promise<string> {
  const path = join(dir, `${name}.gguf`);
  await writeGguf(path, change(runnableGguf(kind)));
  return path;
}

const without = (key: RegExp) => (file: NewGguf) => ({
  ...file,
  keyValues: file.keyValues.filter((keyValue) => !key.test(keyValue.key)),
});

const withHeadBias = (bias: number) => (file: NewGguf) => ({
  ...file,
  tensors: file.tensors.map((tensor) =>
    tensor.name === "cls.bias" ? { ...tensor, data: new Uint8Array(new Float32Array([bias]).buffer) } : tensor,
  ),
});

async function describeFile(path: string) {
  const file = await openModel(path);
  await file.close();
  return file.model;
}

describe("a reranker", () => {
  it("scores the same as a causal model and with the grafted head of the same weights", async () => {
    const head = await writeRunnable("reranker", dir);
    const causal = await writeRunnable("causal-reranker", dir);
    const { models, reference, rerankSet, warnings } = await rank([causal], head);
    expect(reference?.rerank.head).toBe("softmax-in-graph");
    expect(models[0]?.rerank.head).toBe("yes-no-logits");
    expect(models[0]?.rerank.fidelity?.maxAbsDelta).toBeLessThan(1e-4);
    expect(models[0]?.rerank.fidelity?.kendallTau?.value).toBe(1);
    expect(models[0]?.rerank.spread).toBeGreaterThan(1e-3);
    expect(models[0]?.rerank.ndcg10?.value).toBeGreaterThan(0);
    expect(models[0]?.rerank.scores.map((row) => row.length)).toEqual([4, 3]);
    expect(rerankSet.queries[1]?.query).toBe("fruit");
    expect(warnings).toEqual([expect.stringMatching(/differs from its reference in tokenizer\.chat_template\.rerank/)]);
  });

  it("finds no difference between a model and itself, whatever is scored before", async () => {
    const path = await writeRunnable("qwen35-reranker", dir);
    const model = await openModel(path);
    const session = await openRerankSession(model, { set }, bench());
    const { rerank } = await session.rankModel(model).finally(() => model.close());
    expect(rerank.fidelity).toMatchObject({ maxAbsDelta: 0, top1Agreement: 100, moved: 0, perQuery: [0, 0] });
  });

  it("takes the sigmoid of a cross-encoder's logit once, and says the logit", async () => {
    const { models } = await rank([await writeRunnable("cross-encoder", dir)]);
    expect(models[0]?.rerank.head).toBe("sigmoid");
    for (const { score, logit } of models[0]?.rerank.scores.flat() ?? []) {
      expect(logit).not.toBe(0);
      expect(score).toBe(sigmoid(logit ?? Number.NaN));
    }
  });

  it("undoes the tanh that llama.cpp takes of a jina-bert-v2 head", async () => {
    const paths = [0, 1.5].map((bias) => writeChanged("jina-reranker", `jina-${bias}`, withHeadBias(bias)));
    const { models } = await rank(await Promise.all(paths));
    const [plain = [], biased = []] = models.map(({ rerank }) => rerank.scores.flat());
    expect(models[0]?.rerank.head).toBe("sigmoid-of-tanh");
    expect(plain).toHaveLength(7);
    for (const [index, { score, logit = Number.NaN }] of plain.entries()) {
      expect(score).toBe(sigmoid(logit));
      expect(biased[index]?.logit).toBeCloseTo(logit + 1.5, 4);
    }
  });

  it.each(["reranker", "qwen3vl-reranker", "causal-reranker", "qwen35-reranker"] as const)(
    "gives a document the same score alone and among others: %s",
    async (kind) => {
      const reranker = describeReranker(await describeFile(await writeRunnable(kind, dir)));
      const scorer = await openRerankScorer(reranker, {}, bench());
      const query = "what is it?";
      const documents = [
        "some document",
        "",
        " ",
        "\n\n",
        "é𝄞",
        "x",
        "a longer document than that. ".repeat(4),
        "y".repeat(300),
      ];
      const among = await scorer.score({ query, documents });
      for (const [index, document] of documents.entries()) {
        expect(await scorer.score({ query, documents: [document] })).toEqual([among[index]]);
      }
      expect(await scorer.score({ query, documents: documents.toReversed() })).toEqual(among.toReversed());
      await scorer.close();
    },
  );

  it("reads a beginning once only where no token sees those after it", async () => {
    const seeing = await writeChanged("reranker", "seeing", (file) => ({
      ...file,
      keyValues: [...file.keyValues, { key: "qwen3.attention.causal", type: "bool", value: false }],
    }));
    const paths = [await writeRunnable("reranker", dir), seeing];
    const rerankers = await Promise.all(paths.map(async (path) => describeReranker(await describeFile(path))));
    expect(rerankers.map(({ bidirectional }) => bidirectional)).toEqual([false, true]);
    const documents = ["a document of some length. ".repeat(4)];
    const moves = rerankers.map(async (reranker) => {
      const scores = [true, false].map(async (bidirectional) => {
        const scorer = await openRerankScorer({ ...reranker, bidirectional }, {}, bench());
        const [scored] = await scorer.score({ query: "what is it?", documents });
        await scorer.close();
        return scored?.score;
      });
      const [whole, once] = await Promise.all(scores);
      return whole !== once;
    });
    expect(await Promise.all(moves)).toEqual([false, true]);
  });

  it("cuts documents that don't fit, counts them, and keeps the prompt around them whole", async () => {
    const long = join(dir, "long.jsonl");
    await writeFile(long, JSON.stringify({ query: "q", documents: ["é€ is long ".repeat(200), "short"] }));
    for (const kind of ["causal-reranker", "cross-encoder"] as const) {
      const path = await writeRunnable(kind, dir);
      const { models } = await evaluateRerank([path], { set: long }, bench());
      expect(models[0]?.rerank).toMatchObject({ truncated: 1 });
      expect(models[0]?.rerank.tokens).toBeLessThanOrEqual(2 * 512);
    }
    const query = join(dir, "query.jsonl");
    await writeFile(query, JSON.stringify({ query: "q".repeat(600), documents: ["d"] }));
    const ranked = evaluateRerank([join(dir, "causal-reranker.gguf")], { set: query }, bench());
    await expect(ranked).rejects.toThrow(/the query leaves no room for a document in a context of 512/);
  });
});

describe("what is remarkable about a family", () => {
  it("is said once, not once a file", async () => {
    const instructed = join(dir, "instructed.jsonl");
    await writeFile(instructed, JSON.stringify({ query: "q", documents: ["a", "b"], instruct: "judge" }));
    const [one, other] = [
      await writeRunnable("cross-encoder", dir),
      await writeChanged("cross-encoder", "another", (file) => file),
    ];
    const { warnings } = await evaluateRerank([one, other], { set: instructed, reference: one }, bench());
    expect(warnings.filter((warning) => warning.includes("instruct"))).toEqual([
      'the prompt has no place for an instruction; "instruct" of the set is left out',
    ]);
  });
});

describe("a file that can't rank", () => {
  const refused = async (path: string, message: RegExp) => {
    await expect(rank([path])).rejects.toThrow(message);
  };

  it("is refused with what is missing: head, labels, prompt", async () => {
    await refused(
      await writeChanged("reranker", "headless", (file) => ({
        ...file,
        tensors: file.tensors.filter(({ name }) => !name.startsWith("cls")),
      })),
      /headless\.gguf: .*no cls/,
    );
    await refused(await writeChanged("reranker", "labelless", without(/output_labels/)), /labelless\.gguf: .*2 rows/);
    await refused(await writeChanged("reranker", "promptless", without(/chat_template/)), /promptless\.gguf: .*rerank/);
  });

  it("is refused where its tokenizer splits yes, and where its weights are damaged", async () => {
    await refused(await writeRunnable("llama", dir), /its tokenizer has no token "yes" and "no", however written/);
    await refused(
      await writeRunnable("causal-reranker", dir, { nan: true }),
      /nan\.gguf: the scores are NaN or infinite/,
    );
    await refused(await writeRunnable("reranker", dir, { nan: true }), /nan\.gguf: the scores are NaN or infinite/);
    await refused(await writeRunnable("clip", dir), /multimodal projector/);
  });

  it("is known by its header", async () => {
    expect(isReranker(await describeFile(await writeRunnable("reranker", dir)))).toBe(true);
    expect(isReranker(await describeFile(await writeRunnable("qwen3", dir)))).toBe(false);
    expect(isReranker(await describeFile(await writeRunnable("qwen35-reranker", dir)))).toBe(true);
  });
});
