/**
 * Models + reference + text → Evaluation: perplexity and KL divergence as llama-perplexity defines them.
 * Goes on until SE(KLD) ≤ 5 % of KLD or the text ends, never fewer than 20 chunks for a verdict; all models of one
 * evaluation see the same chunks, so that they can be compared pairwise.
 */
import { UsageError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import type { EvaluateOptions } from "./evaluate-options.ts";
import type { Evaluation, ModelEvaluation } from "./evaluation.ts";
import { type EvaluationSession, openSession } from "./session.ts";

/** Evaluate. Throws UsageError for a text that is too short, FormatError for a model of another vocabulary. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const [pilot] = options.models;
  if (pilot === undefined) throw new UsageError("nothing to evaluate; name at least one model");
  const session = await openSession({ ...options, pilot });
  try {
    const models: ModelEvaluation[] = [];
    for (const path of options.models) models.push(await session.evaluateModel(path));
    return assembleEvaluation(options, session, models);
  } finally {
    await session.close();
  }
}

export function assembleEvaluation(
  { engine }: Pick<EvaluateOptions, "engine">,
  session: EvaluationSession,
  models: readonly ModelEvaluation[],
): Evaluation {
  const { kind, version, origin, devices } = engine.info;
  const ppl = session.referencePpl();
  return {
    schema: "prism.evaluation/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    engine: { kind, version, origin, devices },
    ...(session.reference === undefined || ppl === undefined ? {} : { reference: { ...session.reference, ppl } }),
    text: session.text,
    models,
    warnings: session.warnings,
  };
}
