/** Every kind of document, as the first release wrote it, with what reads it. */
import { readFileSync } from "node:fs";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { DOCTOR } from "../../src/cli/doctor/check.ts";
import { ERROR_DOCUMENT } from "../../src/documents/error-document.ts";
import { readDocument } from "../../src/documents/read-document.ts";
import { readEvaluation } from "../../src/evaluate/read-evaluation.ts";
import { readRecipe } from "../../src/plan/published-recipe.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { INSPECTION } from "../../src/preflight/inspection.ts";
import { PROBES } from "../../src/probes/probe-store.ts";
import { REPAIR } from "../../src/repair/repair-document.ts";
import { readRanking } from "../../src/rerank/ranking-document.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { parseDensities } from "../../src/sensitivity/density-document.ts";
import { parsePrior } from "../../src/sensitivity/sensitivity-prior.ts";

type Read = (text: string, path: string) => unknown;

const released = (name: string) => readFileSync(new URL(`first-release/${name}`, import.meta.url), "utf8");
const shipped = (name: string) => readFileSync(new URL(`../../plans/${name}`, import.meta.url), "utf8");

export const KINDS: readonly (readonly [name: string, text: string, read: Read])[] = [
  ["analysis.json", released("analysis.json"), readAnalysis],
  ["plan.json", released("plan.json"), readPlan],
  ["recipe.json", shipped("qwen3.5-0.8b-prism-dq.json"), readRecipe],
  ["probes.json", released("probes.json"), (text, path) => parseDensities(path, text)],
  ["prior.json", shipped("sensitivity-prior.json"), (text, path) => parsePrior(path, text)],
  ["probe-store.json", released("probe-store.json"), (text, path) => readDocument(text, path, PROBES)],
  ["evaluation.json", released("evaluation.json"), readEvaluation],
  ["rerank-evaluation.json", released("rerank-evaluation.json"), readRanking],
  ["text-and-rerank-evaluation.json", released("text-and-rerank-evaluation.json"), readRanking],
  ["state.json", released("state.json"), parseRun],
  ["sweep-state.json", released("sweep-state.json"), parseRun],
  ["inspection.json", released("inspection.json"), (text, path) => readDocument(text, path, INSPECTION)],
  [
    "inspection-of-damage.json",
    released("inspection-of-damage.json"),
    (text, path) => readDocument(text, path, INSPECTION),
  ],
  ["doctor.json", released("doctor.json"), (text, path) => readDocument(text, path, DOCTOR)],
  ["repair.json", released("repair.json"), (text, path) => readDocument(text, path, REPAIR)],
  ["error.json", released("error.json"), (text, path) => readDocument(text, path, ERROR_DOCUMENT)],
];
