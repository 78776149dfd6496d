/** What stages that read a text are asked: the planner cuts it into tokens, once for all machines. */
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { readCalibration } from "../evaluate/make-imatrix.ts";
import type { OpenModel } from "../gguf/model.ts";
import { tokensInput } from "../shard/campaign-tokens.ts";
import type { ImatrixOptions } from "../shard/stages/imatrix.ts";
import type { AskedStage, StageRequest } from "./shard-stages.ts";

/** Of the text that is given, or of the one that comes with PRISM: what a model writes itself, it writes on one machine. */
export function askImatrix({ text, context, chunks, head = false }: StageRequest): AskedStage {
  return {
    stage: "imatrix",
    checks: { ignored: ["already-quantized"] },
    async prepare(source, bench) {
      const asked = { text, context: chooseContext(context, source.facts.contextTrain), chunks };
      const { tokens, dataset } = await withTokenizer(source, bench, (loaded) => readCalibration(loaded, asked));
      requireChunks(tokens, chunks, dataset);
      const options: ImatrixOptions = { context: tokens.context, chunks: tokens.chunks, head };
      return { options, inputs: { text, ...tokensInput(tokens, dataset) } };
    },
  };
}

/** With the vocabulary of a model, which is all that is read of it. */
export async function withTokenizer<Result>(
  source: OpenModel,
  bench: Bench,
  work: (loaded: LoadedModel) => Promise<Result>,
  context = source.facts.contextTrain,
): Promise<Result> {
  // llama.cpp, which is to decode, reads files
  requireLocal(source.path);
  const loaded = await loadModel(source.path, { context, vocabOnly: true }, bench);
  return work(loaded).finally(() => loaded.close());
}

/** A campaign has the size that was asked for. */
export function requireChunks({ chunks, context }: EvaluationTokens, asked: number | undefined, text: string): void {
  if (asked === undefined || asked === chunks) return;
  throw new UsageError(
    `--chunks ${asked}: ${text} has ${chunks} chunks of ${context} tokens; give fewer, or a longer --text`,
  );
}
