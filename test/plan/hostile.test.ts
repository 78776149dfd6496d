import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { PrismError } from "../../src/errors.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { sourceArgument } from "../../src/plan/quantize-arguments.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { renderRecipe } from "../../src/plan/recipe.ts";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { overrideToken, planOverrides } from "../../src/plan/tensor-types.ts";
import { createRandom } from "../../src/random.ts";
import { hostileAnalysis, RAW } from "./hostile.ts";
import { uniformSensitivity } from "./synthetic-analysis.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const MEASURED = readFileSync(new URL("../documents/first-release/analysis.json", import.meta.url), "utf8");

const planOf = (analysis: Parameters<typeof uniformSensitivity>[0]): Plan =>
  makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 4 } });

const withoutNul = (text: string) => text.replaceAll("\0", "");

/** What `sh` hands llama-quantize: its arguments, and the names of files it left. */
function shellArguments(script: string): { words: string[]; left: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "prism-hostile-"));
  try {
    writeFileSync(join(folder, "quantize"), "#!/bin/sh\nprintf '%s\\0' \"$@\"\n", { mode: 0o755 });
    writeFileSync(join(folder, "recipe.sh"), script);
    const env = { ...process.env, LLAMA_QUANTIZE: join(folder, "quantize") };
    const words = execFileSync("sh", ["recipe.sh"], { encoding: "utf8", env, cwd: folder }).split("\0").slice(0, -1);
    return { words, left: readdirSync(folder).sort() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The analysis with one of its values replaced, as a person or a program might. */
function edited(seed: number): string {
  const random = createRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const values = [
    0,
    1,
    2,
    -1,
    1e300,
    5e-324,
    2 ** 53 - 1,
    true,
    false,
    "",
    "F16",
    "Q4_K",
    "\u202e",
    "a\nb",
    "a\u009bb",
  ];
  const document = JSON.parse(MEASURED);
  for (let holder = document; ; ) {
    const keys = Object.keys(holder);
    const key = keys[below(keys.length)] as string;
    const value = holder[key];
    if (typeof value === "object" && value !== null && Object.keys(value).length > 0) holder = value;
    else {
      holder[key] = values[below(values.length)];
      return JSON.stringify(document);
    }
  }
}

describe("hostile names", () => {
  it.each(SEEDS)("come through a plan and back, seed %i", (seed) => {
    const analysis = readAnalysis(JSON.stringify(hostileAnalysis(seed)), "a.json");
    const plan = planOf(analysis);
    expect(readPlan(serializePlan(plan), "plan.json")).toEqual(plan);
  });

  it.skipIf(process.platform === "win32").each(SEEDS)("come through a shell exactly, seed %i", (seed) => {
    const plan = planOf(hostileAnalysis(seed));
    const recipe = renderRecipe(plan);
    for (const [file, text] of Object.entries(recipe)) expect(RAW.exec(text)?.[0], file).toBeUndefined();
    const { words, left } = shellArguments(recipe["recipe.sh"]);
    const tokens = planOverrides(plan).map(overrideToken);
    expect(words.filter((_, index) => words[index - 1] === "--tensor-type")).toEqual(tokens);
    expect(words[words.indexOf("--imatrix") + 1]).toBe(withoutNul(plan.imatrix?.path ?? ""));
    expect(words.at(-4)).toBe(withoutNul(sourceArgument(plan)));
    expect(left).toEqual(["quantize", "recipe.sh"]);
  });
});

describe("an edited analysis", () => {
  it("is refused by file and field, or its plan can be read", () => {
    let plans = 0;
    for (let seed = 1; seed <= 150; seed++) {
      try {
        const plan = planOf(readAnalysis(edited(seed), "a.json"));
        expect(readPlan(serializePlan(plan), "plan.json"), `seed ${seed}`).toEqual(plan);
        plans++;
      } catch (error) {
        if (!(error instanceof PrismError)) throw error;
        expect(error.message, `seed ${seed}`).not.toMatch(/^plan\.json/);
      }
    }
    expect(plans).toBeGreaterThan(20);
  });

  it("must have the class, the layer and the eligibility that its names give", () => {
    const change = (to: object, index = 10) => {
      const document = JSON.parse(MEASURED);
      Object.assign(document.tensors[index], to);
      return () => readAnalysis(JSON.stringify(document), "a.json");
    };
    expect(change({ class: "other" })).toThrow(
      /class and layer of blk\.0\.ffn_up\.weight must be ffn_up and 0; make it/,
    );
    expect(change({ layer: 1 })).toThrow(/class and layer of blk\.0/);
    expect(change({ eligible: false })).toThrow(/must be true: llama-quantize quantizes it; make it again/);
    expect(change({ name: "a\u009bb" })).toThrow(/tensors\[10\]\.name .*: expected text that matches/);
  });
});
