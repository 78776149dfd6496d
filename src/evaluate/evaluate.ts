/**
 * Models + reference + text → Evaluation: perplexity and KL divergence as llama-perplexity defines them.
 * Goes on until SE(KLD) ≤ 5 % of KLD or the text ends, never fewer than 20 chunks for a verdict; all models of one
 * evaluation see the same chunks, so that they can be compared pairwise.
 */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { present } from "../present.ts";
import { EVALUATE_DEFAULTS, type EvaluateRequest } from "./evaluate-options.ts";
import type { Evaluation, ModelEvaluation } from "./evaluation.ts";
import { evaluationHead } from "./evaluation-head.ts";
import { type DecodedWith, fitLayers } from "./gpu-layers.ts";
import { type EvaluationSession, openSession } from "./session.ts";
import { measureSpeeds } from "./speed.ts";

/** Evaluate. Throws UsageError for a text that is too short, FormatError for a model of another vocabulary. */
export async function evaluate(models: readonly string[], request: EvaluateRequest, bench: Bench): Promise<Evaluation> {
  if (models.length === 0) throw new UsageError("nothing to evaluate; name at least one model");
  if (request.speed === true && bench.engine.programs !== undefined) {
    throw new UsageError(
      "--speed: tokens are timed by the embedded engine; leave --llama-dir out, or use its llama-bench",
    );
  }
  const opened: OpenModel[] = [];
  const open = async (path: string) => {
    const model = opened.find((known) => known.path === path) ?? (await openLocalModel(path));
    if (!opened.includes(model)) opened.push(model);
    return model;
  };
  let session: EvaluationSession | undefined;
  try {
    const asked = { ...EVALUATE_DEFAULTS, ...request };
    const reference = asked.reference === undefined ? undefined : await open(asked.reference);
    const [pilot, ...others] = await openAll(models, open);
    const fitted = fitLayers(bench, reference ?? pilot, { ...asked, beside: largestBeside(reference, opened) });
    session = await openSession({ pilot, others, reference }, asked, fitted);
    const evaluations: ModelEvaluation[] = [];
    for (const path of models) evaluations.push(await session.evaluateModel(await open(path)));
    const evaluation = assembleEvaluation(session, evaluations, fitted);
    if (!asked.speed) return evaluation;
    await session.close();
    session = undefined;
    return await withSpeeds(evaluation, fitted);
  } finally {
    await session?.close();
    await Promise.all(opened.map((model) => model.close()));
  }
}

/** The reference takes its turn with the models. */
async function withSpeeds(evaluation: Evaluation, bench: Bench): Promise<Evaluation> {
  const { reference, models } = evaluation;
  const paths = [...(reference === undefined ? [] : [reference]), ...models].map(({ path }) => path);
  const speeds = await measureSpeeds([...new Set(paths)], bench);
  const speedOf = (path: string) => present({ speed: speeds[[...new Set(paths)].indexOf(path)] });
  return {
    ...evaluation,
    ...present({ reference: reference && { ...reference, ...speedOf(reference.path) } }),
    models: models.map((model) => ({ ...model, ...speedOf(model.path) })),
  };
}

async function openAll(
  paths: readonly string[],
  open: (path: string) => Promise<OpenModel>,
): Promise<[OpenModel, ...OpenModel[]]> {
  const models: OpenModel[] = [];
  for (const path of paths) models.push(await open(path));
  return models as [OpenModel, ...OpenModel[]];
}

/** Without room for its logits the reference stays loaded beside each model. */
function largestBeside(reference: OpenModel | undefined, models: readonly OpenModel[]): number {
  if (reference === undefined) return 0;
  const sizes = models.filter((model) => model !== reference).map(({ fileBytes }) => fileBytes);
  return Math.max(0, ...sizes) / reference.fileBytes;
}

/** What was judged, and how, of a session or of a campaign of many machines. */
export type Judged = Pick<EvaluationSession, "reference" | "referencePpl" | "text" | "warnings">;

export function assembleEvaluation(
  session: Judged,
  models: readonly ModelEvaluation[],
  bench: DecodedWith,
): Evaluation {
  const ppl = session.referencePpl();
  return {
    ...evaluationHead(bench),
    ...present({ reference: ppl && session.reference && { ...session.reference, ppl } }),
    text: session.text,
    models,
    warnings: session.warnings,
  };
}
