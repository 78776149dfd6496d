/** Every stage of a campaign. */
import { UsageError } from "../errors.ts";
import type { StageId } from "./campaign-document.ts";
import type { ShardStage } from "./stage.ts";
import { analysisStage } from "./stages/analysis.ts";
import { evaluationStage } from "./stages/evaluation.ts";
import { feedbackStage } from "./stages/feedback.ts";
import { imatrixStage } from "./stages/imatrix.ts";
import { probesStage } from "./stages/probes.ts";
import { quantizeStage } from "./stages/quantize.ts";

const STAGES: readonly ShardStage[] = [
  analysisStage,
  quantizeStage,
  imatrixStage,
  probesStage,
  evaluationStage,
  feedbackStage,
];

export function stageOf(id: StageId): ShardStage {
  const stage = STAGES.find((one) => one.id === id);
  if (stage !== undefined) return stage;
  throw new UsageError(`--stage ${id}: expected one of ${STAGES.map((one) => one.id).join(", ")}`);
}
