/**
 * What error feedback leaves of the error of each type a tensor could take: the planner spends bytes where feedback
 * can't mend (docs/feedback.md). Measured on sampled rows, under inputs that the codes were not calibrated on.
 */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import type { FeedbackGain, GainCandidate } from "../engine/engine.ts";
import { isQuantizedType, rowBytes, type TensorType } from "../ggml/tensor-types.ts";
import type { OpenModel, TensorInfo } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import { type FeedbackRequest, overInputs } from "./over-inputs.ts";

export interface GainsRequest extends FeedbackRequest {
  /** The one that the analysis was made with. */
  readonly imatrix?: Imatrix | undefined;
}

/** Experts of a tensor that are measured, from all over it. */
const SAMPLED_EXPERTS = 4;

/** The analysis, with what feedback leaves of each distortion beside it. */
export async function measureFeedback(
  source: OpenModel,
  analysis: Analysis,
  { imatrix, ...request }: GainsRequest,
  bench: Bench,
): Promise<Analysis> {
  const candidates = gainCandidates(source, analysis, imatrix);
  const gains: FeedbackGain[] = [];
  const text = await overInputs(source, candidates, request, bench, async ({ loaded, weights }) => {
    const before = gains.length;
    const measured = await loaded.measureGains({
      candidates: weights,
      signal: bench.signal,
      onProgress: (done) => bench.progress.steps("what feedback mends", before + done, candidates.length),
    });
    gains.push(...measured);
  });
  return withGains(analysis, text, gains);
}

/** What is measured of the model, tensor by tensor. */
export function gainCandidates(
  source: Pick<OpenModel, "model">,
  analysis: Pick<Analysis, "tensors">,
  imatrix: Imatrix | undefined,
): GainCandidate[] {
  const stored = new Map(source.model.tensors.map((tensor) => [tensor.name, tensor]));
  return analysis.tensors.flatMap((tensor) => {
    const found = stored.get(tensor.name);
    return found === undefined ? [] : candidatesOf(source, found, tensor, imatrix);
  });
}

/** The analysis with the gains of its tensors, measured on `text`, and with none that it had of another text. */
export function withGains(analysis: Analysis, text: string, gains: readonly FeedbackGain[]): Analysis {
  const rounded = withoutFeedback(analysis);
  return { ...rounded, feedback: { text }, tensors: tensorsWithGains(rounded.tensors, gains) };
}

/** The analysis as plans of files by llama-quantize need it. */
export function withoutFeedback({ feedback: _, ...analysis }: Analysis): Analysis {
  const tensors = analysis.tensors.map((tensor) => {
    if (tensor.distortion === undefined) return tensor;
    const rounded = Object.entries(tensor.distortion).map(([type, { feedback: _left, ...estimate }]) => [
      type,
      estimate,
    ]);
    return { ...tensor, distortion: Object.fromEntries(rounded) };
  });
  return { ...analysis, tensors };
}

/** A tensor as the engine is to measure it; of experts a few. */
function candidatesOf(
  { model }: Pick<OpenModel, "model">,
  tensor: TensorInfo,
  { distortion }: Pick<TensorAnalysis, "distortion">,
  imatrix: Imatrix | undefined,
): GainCandidate[] {
  const types = (Object.keys(distortion ?? {}) as TensorType[]).filter(isQuantizedType);
  if (types.length === 0) return [];
  const { name, shape, shard, offset, type } = tensor;
  const [columns = 1, rows = 1, ...outer] = shape;
  const experts = outer.reduce((product, n) => product * n, 1);
  const weights = imatrix && importanceOf(imatrix, tensor);
  const count = Math.min(experts, SAMPLED_EXPERTS);
  return Array.from({ length: count }, (_, index) => {
    const expert = Math.floor(((index + 0.5) * experts) / count);
    return {
      name,
      ...(experts > 1 ? { expert } : {}),
      from: model.shards[shard]?.path ?? "",
      sourceOffset: offset + expert * rows * rowBytes(type, columns),
      sourceType: type,
      columns,
      rows,
      types,
      ...(weights instanceof Float32Array ? { importance: expertImportance(weights, columns, expert) } : {}),
    };
  });
}

/** An imatrix has values for each expert, or the same for all. */
function expertImportance(values: Float32Array, columns: number, expert: number): Float32Array {
  return values.length > columns ? values.slice(expert * columns, (expert + 1) * columns) : values;
}

/** Of several experts the mean. What gains nothing says nothing. */
function tensorsWithGains(tensors: readonly TensorAnalysis[], gains: readonly FeedbackGain[]): TensorAnalysis[] {
  const byName = new Map<string, FeedbackGain[]>();
  for (const gain of gains) byName.set(gain.name, [...(byName.get(gain.name) ?? []), gain]);
  return tensors.map((tensor) => {
    const own = byName.get(tensor.name);
    if (own === undefined || tensor.distortion === undefined) return tensor;
    const entries = Object.entries(tensor.distortion) as [TensorType, { value: number; se: number }][];
    const distortion = Object.fromEntries(
      entries.map(([type, estimate]) => {
        const ratios = own.map(({ ratios: measured }) => measured[type] ?? 1);
        const feedback = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
        return [type, feedback < 1 ? { ...estimate, feedback } : estimate];
      }),
    );
    return { ...tensor, distortion };
  });
}
