import { describe, expect, it } from "vitest";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { FormatError, PrismError, UsageError } from "../../src/errors.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { renderReport } from "../../src/report/html/render-report.ts";
import { readRanking } from "../../src/rerank/ranking-document.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { KINDS } from "./kinds.ts";
import { damage } from "./mutate.ts";

const SEEDS = 150;

const fixture = (name: string) => KINDS.find(([own]) => own === name)?.[1] ?? "";

function errorOf(act: () => unknown): Error | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

describe("a damaged document", () => {
  it.each(KINDS)("%s is refused by file and field, never by a stack", (name, text, read) => {
    let refused = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { text: damaged, key } = damage(text, seed);
      const error = errorOf(() => read(damaged, name));
      if (error === undefined) continue;
      refused++;
      // a type that a tensor can't have is a person's doing, not damage
      if (!(error instanceof UsageError && name === "plan.json"))
        expect(error, `seed ${seed}`).toBeInstanceOf(FormatError);
      expect(error.message.startsWith(`${name}: `), error.message).toBe(true);
      expect(error.message.length).toBeLessThan(1500);
      if (key === undefined) expect(error.message, `seed ${seed}`).toMatch(/cut off at byte \d+/);
      else if (!(error instanceof UsageError)) expect(error.message, `seed ${seed}`).toContain(key);
    }
    expect(refused).toBeGreaterThan(SEEDS / 4);
    expect(({} as { schema?: unknown }).schema).toBeUndefined();
  });

  it.each(KINDS)("%s is known to be cut off wherever it ends", (name, text, read) => {
    const whole = JSON.stringify(JSON.parse(text)).slice(0, 4000);
    for (let length = 0; length < whole.length; length += 7) {
      const error = errorOf(() => read(whole.slice(0, length), name));
      const bytes = Buffer.byteLength(whole.slice(0, length));
      expect(error?.message).toContain(`cut off at byte ${bytes}, where the file ends`);
    }
  });

  it("is refused or renders: a report of what was read never ends in a stack", () => {
    const [plan, analysis] = [readPlan(fixture("plan.json"), "p"), readAnalysis(fixture("analysis.json"), "a")];
    const render = (seed: number, name: string) => {
      const { text } = damage(fixture(name), seed);
      const error = errorOf(() => renderReport({ run: parseRun(text, name), plan, analysis }));
      if (error !== undefined) expect(error, `${name}, seed ${seed}: ${error.stack}`).toBeInstanceOf(PrismError);
    };
    for (let seed = 1; seed <= 60; seed++) {
      render(seed, "state.json");
      render(seed, "sweep-state.json");
    }
  });
});

describe("out of range", () => {
  const refuse = (name: string, read: (text: string, path: string) => unknown, change: (document: never) => void) => {
    const document = JSON.parse(fixture(name));
    change(document as never);
    const error = errorOf(() => read(JSON.stringify(document), name));
    expect(error).toBeInstanceOf(FormatError);
    return error?.message;
  };
  type Rows = { rows: { fileBytes: number; sameTop: number; ppl: { se: number }; kld: { mean: number } }[] };

  it("numbers that can't be are refused", () => {
    const run = (change: (row: Rows["rows"][number]) => void) =>
      refuse("state.json", parseRun, ({ rows }: Rows) => change(rows[1] as never));
    expect(run((row) => Object.assign(row, { fileBytes: -1 }))).toMatch(
      /rows\[1\]\.fileBytes \("plan"\): expected a whole number of at least 1, got -1/,
    );
    expect(run((row) => Object.assign(row, { sameTop: 101 }))).toMatch(
      /sameTop \("plan"\): expected a number of at most 100, got 101/,
    );
    expect(run((row) => Object.assign(row.ppl, { se: -0.1 }))).toMatch(/ppl\.se .*at least 0, got -0\.1/);
    expect(run((row) => Object.assign(row.kld, { mean: 1e6 }))).toMatch(/kld\.mean .*at most 100, got 1000000/);
    expect(run((row) => Object.assign(row.kld, { mean: "0.1" }))).toBe(
      'state.json: the state of a run, but damaged: rows[1].kld.mean ("plan"): expected a number, got the text "0.1"; --force starts the run anew, or delete the file',
    );
  });

  it("an evaluation whose scores are not those of its set is refused", () => {
    expect(
      refuse("rerank-evaluation.json", readRanking, ({ models }: { models: { rerank: { scores: unknown[] } }[] }) =>
        models[0]?.rerank.scores.pop(),
      ),
    ).toMatch(/models\[0\]\.rerank\.scores\[1\]: expected \d+ scores, got 0/);
  });
});
