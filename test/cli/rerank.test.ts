import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeRunnable } from "../fixtures/runnable.ts";
import { prism, startPrism } from "./prism.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-cli-rerank-"));
  await writeRunnable("reranker", dir);
  await writeRunnable("causal-reranker", dir);
  await writeRunnable("llama", dir);
  await writeFile(join(dir, "set.jsonl"), '{"query":"q","documents":["one","two","three"],"relevance":[1,0,0]}\n');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("prism evaluate --rerank", () => {
  it("prints figures and a table of scores, or one document", async () => {
    const args = ["evaluate", "causal-reranker.gguf", "--reference", "reranker.gguf", "--rerank", "set.jsonl"];
    const { code, stdout } = await prism([...args, "--threads", "1"], dir);
    expect(code).toBe(0);
    expect(stdout).toContain("documents: set.jsonl; 1 queries, 3 documents");
    // 80 columns leave out the error of the mean and the spread
    expect(stdout).toMatch(/model +mean \|Δ\| +max \|Δ\| +τ +same best +nDCG@10/);
    expect(stdout).toMatch(/\ncausal-reranker .* 1\.000 +100\.0 % /);
    const json = await prism([...args, "--threads", "1", "--json", "--quiet"], dir);
    const document = JSON.parse(json.stdout);
    expect(document).toMatchObject({
      schema: "prism.evaluation/1",
      reference: { rerank: { head: "softmax-in-graph" } },
      models: [{ rerank: { head: "yes-no-logits", fidelity: { top1Agreement: 100, moved: 0 } } }],
    });
    expect(document.models[0]).not.toHaveProperty("ppl");
    expect(json.stderr).toBe("");
  });

  it("refuses models after --rerank, a server without it, and two models on a server", async () => {
    const misplaced = await prism(["evaluate", "reranker.gguf", "--rerank", "causal-reranker.gguf"], dir);
    expect([misplaced.code, misplaced.stderr]).toEqual([1, expect.stringMatching(/name the models before --rerank/)]);
    const alone = await prism(["evaluate", "reranker.gguf", "--server", "http://127.0.0.1:1"], dir);
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringMatching(/give --rerank with it/)]);
    const absent = await prism(["evaluate", "reranker.gguf", "--rerank", "--server", "http://127.0.0.1:1"], dir);
    expect([absent.code, absent.stderr]).toEqual([4, expect.stringMatching(/does not answer/)]);
  });
});

describe("prism run --rerank", () => {
  it("judges by the documents that are given, and says that a text is not used", async () => {
    const args = [
      "run",
      "reranker.gguf",
      "--out",
      "run",
      "--like",
      "Q4_K_M",
      "--text",
      "set.jsonl",
      "--threads",
      "1",
      ...["--imatrix", "none", "--feedback", "off"],
    ];
    const { code, stdout } = await prism([...args, "--rerank", "set.jsonl", "--json"], dir);
    expect(code).toBe(0);
    const { asked, rows, warnings, verdict } = JSON.parse(stdout);
    expect(asked.rerankSet).toMatch(/^[0-9a-f]{64}$/);
    expect(verdict).toMatch(/^only 1 queries were ranked/);
    expect(rows.find(({ kind }: { kind: string }) => kind === "plan").rerank.perQuery).toHaveLength(1);
    expect(warnings).toContainEqual(expect.stringMatching(/--text not used/));
    const report = await readFile(join(dir, "run/report.html"), "utf8");
    for (const shown of ["mean |Δscore|", 'id="scores"', "<caption>q</caption>", "three"]) {
      expect(report.includes(shown), shown).toBe(true);
    }
    expect(report.includes(">KLD, nats</th>")).toBe(false);
    const other = await prism([...args], dir);
    expect([other.code, other.stderr]).toEqual([2, expect.stringMatching(/--rerank was SHA-256 .*, now not given/)]);
  });

  it("refuses documents for a model without the tokens yes and no before any work", async () => {
    const { code, stderr } = await prism(["run", "llama.gguf", "--rerank", "set.jsonl", "--threads", "1"], dir);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no token "yes" and "no"/)]);
    expect(existsSync(join(dir, "prism-run-llama/analysis.json"))).toBe(false);
  });

  it("refuses answers and pairs that a model has not, before any work", async () => {
    const run = (...args: string[]) =>
      prism(["run", ...args, "--like", "Q8_0", "--out", "unread", "--threads", "1"], dir);
    const words = await run("causal-reranker.gguf", "--rerank", "set.jsonl", "--yes", "relevant");
    expect([words.code, words.stderr]).toEqual([
      2,
      expect.stringMatching(/"relevant" and "no" are not one token each/),
    ]);
    const pairs = await run("reranker.gguf", "--rerank", "set.jsonl", "--pairs", "published");
    expect([pairs.code, pairs.stderr]).toEqual([
      2,
      expect.stringMatching(/--pairs published: reranker\.gguf joins no pairs/),
    ]);
    expect(existsSync(join(dir, "unread/analysis.json"))).toBe(false);
  });

  it.each([
    [/--yes, --no, .* not judged by any/, ["run", "embedder.gguf", "--like", "Q8_0", "--yes", "si", "--out", "unused"]],
    [/--pairs: no documents are scored here/, ["evaluate", "embedder.gguf", "--pairs", "published"]],
    [/--yes: the model embeds/, ["serve", "embedder.gguf", "--yes", "si", "--port", "0"]],
    [/--query-prefix: the model ranks/, ["serve", "reranker.gguf", "--query-prefix", "q: ", "--port", "0"]],
    [
      /--parse-special: with --server its prompt is used/,
      [
        "evaluate",
        "reranker.gguf",
        "--rerank",
        "set.jsonl",
        "--server",
        "http://127.0.0.1:9",
        "--parse-special",
        "template",
      ],
    ],
  ])("refuses what would change nothing: %s", async (message, args) => {
    await writeRunnable("embedder", dir);
    const { code, stderr } = await prism([...args, "--threads", "1"], dir);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe("prism serve", () => {
  it.skipIf(process.platform === "win32")(
    "answers the curl line of a reranker's card, and stops when told to",
    async () => {
      const { child, outcome } = startPrism(["serve", "reranker.gguf", "--port", "0", "--threads", "1", "--json"], dir);
      const [text] = (await new Promise((resolve) => child.stdout?.once("data", (...args) => resolve(args)))) as [
        string,
      ];
      const { url, head } = JSON.parse(text);
      expect(head).toBe("softmax-in-graph");
      const response = await fetch(`${url}/v1/rerank`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          query: "What is the capital of France?",
          documents: [
            "Paris is the capital of France.",
            "Bananas are a yellow fruit.",
            "The Eiffel Tower is in Paris.",
          ],
        }),
      });
      const { results } = (await response.json()) as { results: { index: number; relevance_score: number }[] };
      expect(results.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
      const scores = results.map(({ relevance_score }) => relevance_score);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      for (const score of scores) expect(score > 0 && score < 1).toBe(true);
      child.kill("SIGTERM");
      expect((await outcome).code).toBe(130);
    },
  );

  it("refuses a model that can't rank", async () => {
    await writeRunnable("llama", dir);
    const { code, stderr } = await prism(["serve", "llama.gguf", "--port", "0", "--threads", "1"], dir);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no token "yes" and "no"/)]);
  });
});
