/** What the evaluation by many machines is asked: candidates, and a text that is cut into tokens once for all of them. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { readText, readTextFile } from "../evaluate/text.ts";
import { openTokenGate, SAME_COUNT, textCutter } from "../evaluate/token-gate.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { tokensInput } from "../shard/campaign-tokens.ts";
import type { EvaluationOptions } from "../shard/stages/evaluation.ts";
import { examineJudged, refuseEncoder } from "./judged-model.ts";
import type { AskedStage, StageContent, StageRequest } from "./shard-stages.ts";
import { requireChunks, withTokenizer } from "./shard-texts.ts";

/** Throws UsageError where something is missing that one machine would find by itself, by decoding. */
export function askEvaluation({
  candidate: paths = [],
  text,
  context,
  chunks,
  forceFindings,
}: StageRequest): AskedStage {
  if (paths.length === 0) throw new UsageError("--stage evaluation: name the files to judge with --candidate FILE...");
  if (text === undefined) {
    throw new UsageError(
      "--stage evaluation: give --text FILE; a text that the model samples itself is for one machine (prism evaluate)",
    );
  }
  if (chunks === undefined) {
    throw new UsageError(
      "--stage evaluation: give --chunks N; how many it takes is found by decoding, on one machine (prism evaluate)",
    );
  }
  return {
    stage: "evaluation",
    checks: { ignored: ["already-quantized"] },
    async prepare(source, bench, said) {
      if (bench.engine.programs !== undefined) {
        throw new UsageError("--stage evaluation: it decodes with the embedded engine; leave --llama-dir out");
      }
      refuseProjector(source.model);
      const candidates: OpenModel[] = [];
      try {
        for (const path of paths) candidates.push(await openLocalModel(path));
        return await contentOf(source, candidates, { text, context, chunks, forceFindings, said }, bench);
      } catch (error) {
        for (const open of candidates) await open.close();
        throw error;
      }
    },
  };
}

interface Asked extends Pick<StageRequest, "context" | "forceFindings"> {
  readonly text: string;
  readonly chunks: number;
  readonly said: readonly string[];
}

async function contentOf(
  source: OpenModel,
  candidates: readonly OpenModel[],
  { text: path, chunks, forceFindings, said, ...asked }: Asked,
  bench: Bench,
): Promise<StageContent> {
  const context = chooseContext(asked.context, source.facts.contextTrain);
  const checks = { forceFindings, byText: true, said: new Set(said) };
  refuseEncoder(source);
  for (const open of candidates) await examineJudged(open, checks, bench);
  const { text } = await readTextFile(path);
  const gate = openTokenGate(source, { texts: [text], load: textCutter(context, bench) }, SAME_COUNT);
  for (const open of candidates) {
    refuseProjector(open.model);
    await gate.admit(open);
  }
  const {
    tokens,
    fileHash = "",
    chunksPerBatch,
    vocabSize,
  } = await withTokenizer(
    source,
    bench,
    async (loaded) => ({
      ...(await readText(loaded, path, context, chunks)),
      chunksPerBatch: loaded.chunksPerBatch,
      vocabSize: loaded.vocabSize,
    }),
    context,
  );
  requireChunks(tokens, chunks, path);
  const { devices } = bench.engine.info;
  const options: EvaluationOptions = {
    context,
    chunks,
    chunksPerBatch,
    vocabSize,
    textSha256: fileHash,
    devices: [...devices],
    notes: [...gate.notes],
  };
  return { options, inputs: tokensInput(tokens, path), candidates };
}
