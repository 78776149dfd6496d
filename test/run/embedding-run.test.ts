import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readEvaluation } from "../../src/evaluate/read-evaluation.ts";
import { parseGates } from "../../src/run/gates.ts";
import type { RunRow } from "../../src/run/run-document.ts";
import { judgeRows, MIN_TEXTS, outcome } from "../../src/run/verdict.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";
import { writePaperSource } from "./paper-source.ts";

const place = paperPlace(60, { text: undefined });
let source: string;
beforeAll(async () => {
  source = await writePaperSource(join(place.dir, "embedder.gguf"), 1, true, "bert", 1);
});
const runOn = (engine = paperEngine(), more: Parameters<typeof place.runOn>[1] = {}) =>
  place.runOn(engine, more, { source });

describe("a run of a model that embeds", () => {
  it("is judged by its vectors, with its controls", async () => {
    const engine = paperEngine();
    const { rows, verdict, gates, text } = await runOn(engine, {
      gates: parseGates(["drift<=0.5 && overlap10>=101"]),
    });
    expect(text).toBeUndefined();
    expect(engine.calls.some((call) => /^(score|sample)/.test(call))).toBe(false);
    expect(engine.calls.filter((call) => call.startsWith("pool")).every((call) => call.endsWith("mean"))).toBe(true);
    const judged = rows.filter(({ kind }) => kind !== "reference");
    expect(judged.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["plan", "preset", "uniform", "shuffle"]));
    for (const row of judged) {
      // 16 queries and 112 documents
      expect(row.embedding?.perText).toHaveLength(128);
      expect(row.embedding?.drift.value).toBeGreaterThan(0);
      expect(row.kld).toBeUndefined();
      if (row.kind !== "plan") expect(row.driftMinusPlan).toBeDefined();
    }
    expect(verdict).toMatch(/^by its embeddings the plan /);
    expect(gates.map(({ met }) => met)).toEqual([true, false]);
    const evaluation = join(place.out, "evaluations", "plan.json");
    expect(readEvaluation(await readFile(evaluation, "utf8"), evaluation)).toHaveProperty("retrievalSet");
  });

  it("goes on where it was interrupted, and ends as one that was not", async () => {
    const whole = await runOn();
    place.out = await place.newOut();
    const stopping = paperEngine((call) => {
      if (call.startsWith("load preset")) throw interruption();
    });
    await expect(runOn(stopping)).rejects.toMatchObject(INTERRUPTED);
    const engine = paperEngine();
    const resumed = await runOn(engine);
    expect(resumed.rows).toEqual(whole.rows);
    expect(engine.calls).not.toContain("quantize plan.gguf");
  });

  it("is another run with another set, pooling or prefix", async () => {
    const set = join(place.dir, "set.jsonl");
    await writeFile(set, `${JSON.stringify({ query: "fruit", documents: ["A banana.", "Lyon"] })}\n`);
    const first = await runOn(undefined, { embedding: { set } });
    expect(first.asked.retrieval).toMatch(/"set":"[0-9a-f]{64}"/);
    expect(first.verdict).toBe(`only 3 texts were embedded: no verdict under ${MIN_TEXTS}`);
    await expect(runOn(undefined, { embedding: { set, pooling: "cls" } })).rejects.toThrow(
      /--retrieval, --pooling or a prefix was .*, now/,
    );
    await expect(runOn(undefined, { embedding: { set, queryPrefix: "query: " } })).rejects.toThrow(
      /--retrieval, --pooling/,
    );
  });

  it.each([
    ["a set to rank", { rerankSet: "set.jsonl" }, /--rerank: .* embeds/],
    ["a quality to reach", { target: { measure: "kld", limit: 0.1 } }, /embeds, and a sweep or a quality/],
    ["a sweep", { sweep: [{ kind: "bpw", value: 5, text: "5" }] }, /embeds, and a sweep or a quality/],
  ] as const)("refuses %s", async (_, more, message) => {
    await expect(runOn(undefined, more as Parameters<typeof place.runOn>[1])).rejects.toThrow(message);
  });

  it("says that it needs no text", async () => {
    const { warnings } = await runOn(undefined, { text: place.text });
    expect(warnings.join()).toMatch(/--text not used: .*embedder\.gguf embeds and is judged by its vectors/);
  });
});

describe("the verdict of embeddings", () => {
  const row = (label: string, kind: RunRow["kind"], mean: number, texts = 128): RunRow => {
    const perText = Array.from({ length: texts }, (_, text) => mean * (0.9 + (0.2 * text) / texts));
    const drift = { value: mean, se: mean / 20 };
    const embedding = { drift, worstDrift: 2 * mean, overlap10: 90, top1Agreement: 100, perText };
    return { label, kind, fileBytes: 1000, bpw: 4, embedding };
  };

  it("goes by the drift, paired over the texts", () => {
    const [plan, preset] = [row("plan", "plan", 0.001), row("Q4_K_M", "preset", 0.007)];
    expect(outcome(plan, preset, 0)).toBe("wins");
    expect(outcome(preset, plan, 0)).toBe("loses");
    const [judged, other] = judgeRows([plan, preset, { ...row("all Q5_K", "uniform", 0.0005), fileBytes: 2000 }], 0);
    expect(judged?.verdict).toBe("by its embeddings the plan beats Q4_K_M");
    expect(other?.driftMinusPlan?.value).toBeCloseTo(0.006, 4);
  });

  it("needs no chunks, but texts enough", () => {
    const [plan] = judgeRows([row("plan", "plan", 0.001, 19), row("a", "preset", 0.007, 19)], 0);
    expect(plan?.verdict).toBe("only 19 texts were embedded: no verdict under 20");
  });
});
