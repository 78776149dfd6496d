import { describe, expect, it } from "vitest";
import { madeLines, takenLines, takenModel } from "../../src/cli/made-lines.ts";
import type { Plan } from "../../src/plan/plan.ts";
import type { Run } from "../../src/run/run-document.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";

const { plan, run } = runInMemory();
const made = { path: "out/models/plan.gguf", fileBytes: 4_486_464 };
const withFacts = (facts: Partial<Plan["facts"]>): Plan => ({ ...plan, facts: { ...plan.facts, ...facts } });

describe("the last lines of run and quantize", () => {
  it("say where the file is, how large, and how it runs", () => {
    expect(madeLines(made, plan)).toEqual([
      "file: out/models/plan.gguf, 4.49 MB",
      "run it: llama-cli -m out/models/plan.gguf",
      "serve it: llama-server -m out/models/plan.gguf",
    ]);
  });

  it("give a reranker, a model that embeds, and one that sees what they need", () => {
    const lines = (...args: Parameters<typeof madeLines>) => madeLines(...args).slice(1);
    expect(lines(made, withFacts({ rankPooling: true }))).toEqual([
      "serve it: llama-server -m out/models/plan.gguf --reranking",
    ]);
    expect(lines(made, plan, { ranked: true, embedded: false })).toEqual([
      "serve it: prism serve out/models/plan.gguf",
    ]);
    expect(lines(made, withFacts({ embeddingPooling: "mean" }))).toEqual([
      "run it: llama-embedding -m out/models/plan.gguf -p 'some text'",
      "serve it: llama-server -m out/models/plan.gguf --embedding",
    ]);
    expect(lines({ ...made, projector: "out/models/mmproj.gguf" }, plan)[0]).toBe(
      "run it: llama-cli -m out/models/plan.gguf --mmproj out/models/mmproj.gguf",
    );
  });

  it("can be typed for any name, and name the first of several parts", () => {
    const parts = { path: "-my model-00001-of-00003.gguf", fileBytes: 9e9, parts: 3 };
    expect(madeLines(parts, plan).slice(0, 2)).toEqual([
      "file: -my model-00001-of-00003.gguf, 9.00 GB in 3 parts, of which this is the first",
      "run it: llama-cli -m './-my model-00001-of-00003.gguf'",
    ]);
  });

  it("are of the better file of a run", () => {
    const outputs = ["plan", "plan-feedback"].map((slug) => ({
      path: `models/${slug}.gguf`,
      fileBytes: 1000,
      sha256: "0".repeat(64),
    }));
    const taken = (rows: Run["rows"]) => takenModel({ rows, outputs }, "out")?.path;
    const row = (kind: "plan" | "feedback", mean: number) => ({
      ...(run.rows.find((found) => found.kind === "plan") as Run["rows"][number]),
      kind,
      kld: { mean, se: 0.001, median: 0.001, p99: 0.1, max: 1 },
    });
    expect(taken([row("plan", 0.02)])).toBe("out/models/plan.gguf");
    expect(taken([row("plan", 0.02), row("feedback", 0.01)])).toBe("out/models/plan-feedback.gguf");
    expect(taken([row("plan", 0.02), row("feedback", 0.03)])).toBe("out/models/plan.gguf");
    expect(takenModel({ rows: [] }, "out")).toBeUndefined();
  });

  it("are after what was measured to be better", () => {
    const outputs = [{ path: "models/plan.gguf", fileBytes: 1000, sha256: "0".repeat(64) }];
    expect(takenLines({ ...run, outputs }, plan, "out")[0]).toBe("file: out/models/plan.gguf, 1.00 kB");
    const rows = run.rows.map((row) => (row.kind === "preset" ? { ...row, fileBytes: row.fileBytes * 0.9 } : row));
    const better = rows.map((row) =>
      row.label === "Q3_K_M" && row.kldPerChunk ? { ...row, kldPerChunk: row.kldPerChunk.map((kld) => kld / 2) } : row,
    );
    const lines = takenLines({ ...run, rows: better, outputs }, plan, "out");
    expect(lines[0]).toMatch(/^! Q3_K_M is 10\.0 % smaller than this file and closer to the source: /);
    expect(lines[1]).toMatch(/^file: /);
  });
});
