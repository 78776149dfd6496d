/** Gates on models that were evaluated: each has to meet all of them. */
import { UsageError } from "../errors.ts";
import type { EmbeddedModel, ModelEvaluation, RankedModel } from "../evaluate/evaluation.ts";
import type { GatedFigures } from "../run/gate-measures.ts";
import { checkGates, type Gate, labelsOf, parseGates } from "../run/gates.ts";
import { embeddingOf, rankingOf } from "../run/run-rows.ts";

type EvaluatedModel = ModelEvaluation | RankedModel | EmbeddedModel;

/** Throws UsageError for a condition that is none, or is about the rows of a run. */
export function modelGates({ require = [] }: { readonly require?: readonly string[] | undefined }): Gate[] {
  const gates = parseGates(require);
  const [label] = labelsOf(gates);
  if (label === undefined) return gates;
  throw new UsageError(
    `--require: beats(${label}) and ties(${label}) compare the plan of prism run with its rows; evaluate takes figures, like "kld<=0.05 && sameTop>=95%"`,
  );
}

/** The evaluation with what its models were held against. */
export function held<Evaluation extends { readonly models: readonly EvaluatedModel[] }>(
  gates: readonly Gate[],
  evaluation: Evaluation,
): Evaluation {
  if (gates.length === 0) return evaluation;
  const models = evaluation.models.map((model) => ({ ...model, gates: checkGates(gates, figuresOf(model)) }));
  return { ...evaluation, models };
}

function figuresOf(model: EvaluatedModel): GatedFigures {
  const { fileBytes, bpw } = model;
  if ("embedding" in model) return { fileBytes, bpw, ...embeddingOf(model) };
  const ranked = model.rerank === undefined ? undefined : { rerank: model.rerank };
  const text = "ppl" in model ? model : {};
  return { ...text, fileBytes, bpw, ...rankingOf(ranked) };
}
