/** Every kind of document PRISM writes: one definition each, shipped as JSON Schema in plans/. */
import { ANALYSIS } from "./analyze/analysis.ts";
import { DOCTOR } from "./cli/doctor/check.ts";
import type { DocumentKind } from "./documents/document-kind.ts";
import { ERROR_DOCUMENT } from "./documents/error-document.ts";
import { PROGRESS_LINE } from "./documents/progress-line.ts";
import { EVALUATION } from "./evaluate/evaluation.ts";
import { PLAN } from "./plan/plan.ts";
import { RECIPE } from "./plan/published-recipe.ts";
import { INSPECTION } from "./preflight/inspection.ts";
import { PROBES } from "./probes/probe-store.ts";
import { REPAIR } from "./repair/repair-document.ts";
import { RUN } from "./run/run-document.ts";
import { DENSITIES } from "./sensitivity/density-document.ts";
import { PRIOR } from "./sensitivity/sensitivity-prior.ts";
import { CAMPAIGN } from "./shard/campaign-document.ts";
import { SUBMISSION } from "./shard/submission.ts";

export const DOCUMENT_KINDS: readonly DocumentKind[] = [
  ANALYSIS,
  PLAN,
  RECIPE,
  DENSITIES,
  PRIOR,
  PROBES,
  EVALUATION,
  RUN,
  INSPECTION,
  DOCTOR,
  REPAIR,
  ERROR_DOCUMENT,
  PROGRESS_LINE,
  CAMPAIGN,
  SUBMISSION,
];
