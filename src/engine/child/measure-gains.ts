/** What error feedback leaves of the error of each type a matrix could take, on inputs held out; of sampled rows. */
import type { TensorType } from "../../ggml/tensor-types.ts";
import type { FeedbackGain, GainCandidate } from "../engine.ts";
import { codeLayout } from "./codes.ts";
import type { FeedbackKernels } from "./feedback.ts";
import { readSourceRows, sampledRows, type Trial, tryFeedback } from "./feedback-trials.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import type { MomentsCollector } from "./moments-collector.ts";
import { decode, encode } from "./round-trip.ts";

/** Of the sampled rows every so manyth is coded in types that search a codebook, which take ten times as long. */
const SLOW_STRIDE = 4;

export interface GainsCall {
  readonly candidates: readonly GainCandidate[];
}

/** In the order of the candidates; those whose inputs were not seen gain nothing. `onCandidate` counts them. */
export async function measureGains(
  library: LlamaLibrary,
  kernels: FeedbackKernels,
  collector: MomentsCollector,
  { candidates }: GainsCall,
  onCandidate: (done: number) => void,
): Promise<FeedbackGain[]> {
  const groups = new Map<string | undefined, number[]>();
  for (const [index, { name, expert }] of candidates.entries()) {
    const key = collector.keyOf(name, expert);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  const gains: FeedbackGain[] = candidates.map(({ name }) => ({ name, ratios: {} }));
  let done = 0;
  for (const [key, members] of groups) {
    const moments = key === undefined ? undefined : collector.momentsOf(key);
    if (moments !== undefined) {
      const rounded: { readonly index: number; readonly trial: Trial }[] = [];
      for (const index of members) {
        const trials = await roundedRows(library, candidates[index] as GainCandidate);
        rounded.push(...trials.map((trial) => ({ index, trial })));
      }
      const results = await tryFeedback(
        kernels,
        moments,
        rounded.map(({ trial }) => trial),
      );
      for (const [at, { index, trial }] of rounded.entries()) {
        const { name, ratios } = gains[index] as FeedbackGain;
        gains[index] = { name, ratios: { ...ratios, [trial.coded.type]: results[at]?.ratio ?? 1 } };
      }
    }
    done += members.length;
    onCandidate(done);
  }
  return gains;
}

/** Rows from all over the matrix, in each type as ggml rounds them. */
async function roundedRows(library: LlamaLibrary, candidate: GainCandidate): Promise<Trial[]> {
  const { types, columns, importance } = candidate;
  const rows = sampledRows(candidate.rows);
  const rounded = async (share: readonly number[], isOf: (type: TensorType) => boolean): Promise<Trial[]> => {
    const source = await readSourceRows(candidate, share);
    const weights = decode(library, source.sourceType, source.data, source.rows * columns);
    return types.filter(isOf).map((type) => ({
      coded: { ...source, type },
      packed: encode(library, type, weights, columns, importance),
    }));
  };
  const isOwn = (type: TensorType) => codeLayout(type) !== undefined;
  const few = rows.filter((_, index) => index % SLOW_STRIDE === 0);
  return [...(await rounded(rows, isOwn)), ...(await rounded(few, (type) => !isOwn(type)))];
}
