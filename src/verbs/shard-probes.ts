/** What the probes of a campaign are asked: what is known of the model and the text go into the campaign. */
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { SHIPPED_TEXT, writesText } from "../evaluate/shipped-text.ts";
import { readText } from "../evaluate/text.ts";
import { isQuantizedType } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { probeableTensors } from "../probes/probe-model.ts";
import { cutChunks, divideText, shippedProbeText, spreadOut } from "../probes/probe-text.ts";
import { CHUNKS_PER_PROBE, TEXT_CHUNKS } from "../run/probe-budget.ts";
import { DEFAULT_PROBES } from "../run/run-request.ts";
import { autoSensitivity } from "../sensitivity/sensitivity-modes.ts";
import { tokensInput } from "../shard/campaign-tokens.ts";
import type { ProbesOptions } from "../shard/stages/probe-choice.ts";
import { askAnalysis } from "./shard-analysis.ts";
import type { AskedStage, StageRequest } from "./shard-stages.ts";
import { requireChunks, withTokenizer } from "./shard-texts.ts";

/** Groups that are chosen at a time. */
export const DEFAULT_ROUND = 16;

export async function askProbes(request: StageRequest): Promise<AskedStage> {
  const { probes: asked = DEFAULT_PROBES, round = DEFAULT_ROUND, text, chunks } = request;
  const known = await askAnalysis(request);
  return {
    stage: "probes",
    checks: { imatrix: known.imatrix },
    async prepare(source, bench) {
      checkProbeable(source);
      known.check(source);
      const context = chooseContext(request.context, source.facts.contextTrain);
      const cut = await withTokenizer(
        source,
        bench,
        (loaded) => probeTokens(loaded, { text, context, chunks }),
        context,
      );
      const { tokens, dataset, block } = cut;
      requireChunks(tokens, chunks, dataset);
      const { analysis, inputs } = await known.of(source, bench);
      const { mode, values } = autoSensitivity(analysis);
      const probes = Math.min(asked, probeableTensors(analysis));
      const options: ProbesOptions = {
        probes,
        decoded: probes * CHUNKS_PER_PROBE,
        round,
        context,
        chunks: tokens.chunks,
        block,
        prior: { mode, values: Object.fromEntries(values) },
        devices: [...bench.engine.info.devices],
      };
      return { options, inputs: { ...inputs, ...tokensInput(tokens, dataset) } };
    },
  };
}

/** Throws UsageError for a model whose probes are no KL divergence in place. */
function checkProbeable(source: OpenModel): void {
  if (!writesText(source)) {
    throw new UsageError(
      `${source.path} writes no text, and a campaign probes by its next tokens; probe it with prism run MODEL --refine`,
    );
  }
  const quantized = source.model.tensors.find(({ type }) => isQuantizedType(type));
  if (quantized === undefined) return;
  throw new UsageError(
    `${source.path} is quantized already (${quantized.name} is ${quantized.type}), and a campaign writes what probes make of weights in their place; give the unquantized model, or probe this one with prism run MODEL --refine`,
  );
}

interface CutText {
  readonly tokens: EvaluationTokens;
  readonly dataset: string;
  /** Chunks that are decoded together. */
  readonly block: number;
}

/** The end of the text, where prism run takes it from too; so ordered that any number of the first are spread over it. */
async function probeTokens(
  loaded: LoadedModel,
  { text, context, chunks }: Pick<StageRequest, "text" | "chunks"> & { readonly context: number },
): Promise<CutText> {
  const block = loaded.chunksPerBatch;
  if (text === undefined) {
    const asked = { context, textChunks: chunks ?? TEXT_CHUNKS, trialChunks: 0 };
    return { tokens: (await shippedProbeText(loaded, asked)).probes, dataset: SHIPPED_TEXT, block };
  }
  const { tokens } = await readText(loaded, text, context, undefined);
  const shares = divideText(tokens.chunks, { textChunks: TEXT_CHUNKS, trialChunks: 0 });
  const last = chunks ?? shares?.probes ?? Math.min(TEXT_CHUNKS, tokens.chunks);
  const tail = cutChunks(tokens, Math.max(0, tokens.chunks - last), tokens.chunks);
  return { tokens: spreadOut(tail), dataset: text, block };
}
