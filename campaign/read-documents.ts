/** The documents and texts PRISM reads, each damaged, read, and put to all uses that what was read has. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { analyzeCached, sealedLine } from "../src/analyze/analysis-cache.ts";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { readSealed, writeSealed } from "../src/disk/sealed-file.ts";
import { readTextFile } from "../src/evaluate/text.ts";
import { diffPlans } from "../src/plan/diff.ts";
import { explainTensor } from "../src/plan/explain.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import type { Plan } from "../src/plan/plan.ts";
import { type PublishedRecipe, resolveOverrides } from "../src/plan/published-recipe.ts";
import { readPlan } from "../src/plan/read-plan.ts";
import { renderRecipe } from "../src/plan/recipe.ts";
import { replan } from "../src/plan/replan.ts";
import type { Inspection } from "../src/preflight/inspection.ts";
import { openProbeStore } from "../src/probes/probe-store.ts";
import { renderReport } from "../src/report/html/render-report.ts";
import { renderAnalysisTable } from "../src/report/terminal/analysis-table.ts";
import { renderDiffTable } from "../src/report/terminal/diff-table.ts";
import { renderEvaluation, renderRun } from "../src/report/terminal/evaluation-table.ts";
import { renderExplanation } from "../src/report/terminal/explain-text.ts";
import { renderInspection } from "../src/report/terminal/inspection-text.ts";
import { renderPlanTable } from "../src/report/terminal/plan-table.ts";
import { renderRecipeTable } from "../src/report/terminal/recipe-table.ts";
import { renderRanking } from "../src/report/terminal/rerank-table.ts";
import { readRerankSet } from "../src/rerank/rerank-set.ts";
import { type parseDensities, sensitivityFromDensities } from "../src/sensitivity/density-document.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { loadReportSource } from "../src/verbs/report-source.ts";
import { blockEngine, f32Tensor, memoryModel } from "../test/analyze/model-in-memory.ts";
import { testBench } from "../test/bench.ts";
import { KINDS } from "../test/documents/kinds.ts";
import type { Draw } from "./draw.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { mutateJson } from "./mutate-json.ts";
import { BENCH, type Reader } from "./read-binary.ts";

const seedText = (name: string): string => KINDS.find(([own]) => own === name)?.[1] ?? "";
const analysis = readAnalysis(seedText("analysis.json"), "analysis.json");
const plan = readPlan(seedText("plan.json"), "plan.json");

const RULE_TENSORS = analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));

type Use = (document: never) => void;

/** What is done with a document that was read. */
const USES: Readonly<Record<string, Use>> = {
  "analysis.json": (found: typeof analysis) => {
    renderAnalysisTable(found);
    makePlan({ analysis: found, sensitivity: uniformSensitivity(found), budget: { kind: "like", fileType: "Q4_K_M" } });
    renderReport({ analysis: found });
  },
  "plan.json": usePlan as Use,
  "recipe.json": (found: PublishedRecipe) => {
    renderRecipeTable(found);
    const { baseFileType, tensorTypes } = found.command;
    resolveOverrides(analysis.facts, RULE_TENSORS, baseFileType, tensorTypes);
  },
  "probes.json": (found: ReturnType<typeof parseDensities>) => void sensitivityFromDensities(analysis, found),
  "prior.json": (found: Parameters<typeof sensitivityFromPrior>[1]) => void sensitivityFromPrior(analysis, found),
  "evaluation.json": (found: Parameters<typeof renderEvaluation>[0]) => void renderEvaluation(found),
  "rerank-evaluation.json": (found?: Parameters<typeof renderRanking>[0]) =>
    void (found && renderRanking({ ...found, warnings: [] })),
  "state.json": (found: Parameters<typeof renderRun>[0]) => {
    renderRun(found);
    renderReport({ run: found, plan, analysis });
  },
  // of a file that can't be opened there are findings alone, which no table shows
  "inspection.json": (found: Partial<Inspection>) => void ("arch" in found && renderInspection(found as Inspection)),
};

const SAME_USE: Readonly<Record<string, string>> = {
  "sweep-state.json": "state.json",
  "text-and-rerank-evaluation.json": "rerank-evaluation.json",
};

function usePlan(found: Plan): void {
  renderRecipe(found);
  renderPlanTable(found);
  renderDiffTable(diffPlans(plan, found));
  const [first] = found.tensors;
  if (first !== undefined) renderExplanation(explainTensor(found, first.name));
  renderReport({ plan: found });
  replan(found, { budget: { kind: "like", fileType: "Q5_K_M" } } as Parameters<typeof replan>[1]);
}

/** Of documents that were read, how many go on: planning and pages are slow beside reading. */
const USED = 0.3;

const DOCUMENT_READERS: readonly Reader[] = KINDS.map(([name, text, read]) => ({
  name,
  weight: 2,
  async attack(draw) {
    const found = read(mutateJson(text, draw), name);
    if (draw.chance(USED)) USES[SAME_USE[name] ?? name]?.(found as never);
  },
}));

const SET = [
  { query: "a", documents: ["b", "c"], relevance: [1, 0] },
  { query: "d", documents: ["e"], instruct: "f" },
].map((line) => JSON.stringify(line));

async function attackRerankSet(draw: Draw, folder: string): Promise<void> {
  const path = join(folder, "set.jsonl");
  const lines = SET.map((line) => (draw.chance(0.6) ? mutateJson(line, draw) : line));
  await writeFile(path, lines.join(draw.pick(["\n", "\r\n", "\n\n", "\u2028"])));
  await readRerankSet(path);
}

async function attackText(draw: Draw, folder: string): Promise<void> {
  const path = join(folder, "text.txt");
  await writeFile(path, mutateBytes(new TextEncoder().encode("A lamp, é, 灯, \u{1f4a1}.\n".repeat(20)), draw));
  await readTextFile(path);
}

/** The directory of a run, of which one document is damaged. */
async function attackRunDirectory(draw: Draw, folder: string): Promise<void> {
  const files = { "state.json": "state.json", "analysis.json": "analysis.json", "plans/plan.json": "plan.json" };
  const hit = draw.pick(Object.keys(files));
  await mkdir(join(folder, "plans"), { recursive: true });
  for (const [path, kind] of Object.entries(files)) {
    const text = seedText(kind);
    await writeFile(join(folder, path), path === hit ? mutateJson(text, draw) : text);
  }
  const { documents } = await loadReportSource(folder);
  if (draw.chance(USED)) renderReport(documents);
}

const NAMES = ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"];
const MODEL = {
  ...memoryModel(NAMES.map((name) => f32Tensor(name, [64, 8], (index) => Math.sin(index)))),
  revision: "1",
};

/** Damage what lies under a seal and seal it again, as another version of PRISM may have written it; or break the seal. */
async function damageSealed(path: string, draw: Draw): Promise<void> {
  const content = await readSealed(path, () => undefined);
  if (content === undefined) throw new Error(`${path} has no seal: nothing to damage`);
  if (draw.chance(0.8)) await writeSealed(path, mutateJson(content.toString("utf8"), draw));
  else await writeFile(path, mutateBytes(await readFile(path), draw));
}

function damageLines(text: string, draw: Draw): string {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => damageLine(line, draw)).join("");
}

function damageLine(line: string, draw: Draw): string {
  const json = line.slice(line.indexOf(" ") + 1);
  if (draw.chance(0.7)) return draw.chance(0.7) ? sealedLine(mutateJson(json, draw)) : `${line}\n`;
  return `${new TextDecoder().decode(mutateBytes(new TextEncoder().encode(line), draw))}\n`;
}

/** A journal or an entry of the cache of analyses, damaged: whatever is in it, an analysis comes out. */
async function attackAnalysisCache(draw: Draw, folder: string): Promise<void> {
  const stop = new AbortController();
  const interrupts = draw.chance(0.6);
  const progress = {
    note: () => undefined,
    steps: (_: string, done: number) => interrupts && done > 0 && stop.abort(),
  };
  const bench = (signal?: AbortSignal) =>
    testBench(blockEngine(), {
      cache: { dir: folder, logitsLimitBytes: 0 },
      ...(signal && { signal, progress: progress as never }),
    });
  await analyzeCached(MODEL, {}, bench(stop.signal)).catch(() => undefined);
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    if (name.endsWith(".json")) await damageSealed(path, draw);
    if (name.endsWith(".journal")) await writeFile(path, damageLines(await readFile(path, "utf8"), draw));
  }
  await analyzeCached(MODEL, {}, bench());
}

async function attackProbeStore(draw: Draw, folder: string): Promise<void> {
  const path = join(folder, "k.json");
  await writeSealed(path, seedText("probe-store.json"));
  await damageSealed(path, draw);
  const store = await openProbeStore(folder, "k", BENCH);
  store.find(NAMES, "Q4_K");
}

export const TEXT_READERS: readonly Reader[] = [
  ...DOCUMENT_READERS,
  { name: "rerank set", weight: 2, attack: attackRerankSet },
  { name: "text", weight: 1, attack: attackText },
  { name: "directory of a run", weight: 1, attack: attackRunDirectory },
  { name: "cache of analyses", weight: 1, attack: attackAnalysisCache },
  { name: "store of probes", weight: 1, attack: attackProbeStore },
];
