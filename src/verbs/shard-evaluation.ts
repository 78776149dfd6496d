/** What the evaluation by many machines is asked: candidates, and a text that is cut into tokens once for all of them. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { chooseContext, type MoreFigures } from "../evaluate/evaluate-options.ts";
import { calibrated } from "../evaluate/more-figures.ts";
import { readText, readTextFile } from "../evaluate/text.ts";
import { readKinds } from "../evaluate/text-kinds.ts";
import { openTokenGate, SAME_COUNT, textCutter } from "../evaluate/token-gate.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { present } from "../present.ts";
import { tokensInput } from "../shard/campaign-tokens.ts";
import type { EvaluationOptions } from "../shard/stages/evaluation-units.ts";
import { examineJudged, refuseEncoder } from "./judged-model.ts";
import type { AskedStage, StageContent, StageRequest } from "./shard-stages.ts";
import { requireChunks, withTokenizer } from "./shard-texts.ts";
import { cacheToJudge } from "./vram-request.ts";

/** Throws UsageError where something is missing that one machine would find by itself, by decoding. */
export function askEvaluation({
  candidate: paths = [],
  text,
  context,
  chunks,
  kinds,
  kv,
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
  const more = { kinds, kv: cacheToJudge(kv) };
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
        return await contentOf(source, candidates, { text, context, chunks, ...more, forceFindings, said }, bench);
      } catch (error) {
        for (const open of candidates) await open.close();
        throw error;
      }
    },
  };
}

interface Asked extends MoreFigures, Pick<StageRequest, "context" | "forceFindings"> {
  readonly text: string;
  readonly chunks: number;
  readonly said: readonly string[];
}

async function contentOf(
  source: OpenModel,
  candidates: readonly OpenModel[],
  { text: path, chunks, kinds: askedKinds, kv, forceFindings, said, ...asked }: Asked,
  bench: Bench,
): Promise<StageContent> {
  const context = chooseContext(asked.context, source.facts.contextTrain);
  const checks = { forceFindings, byText: true, said: new Set(said) };
  refuseEncoder(source);
  for (const open of candidates) await examineJudged(open, checks, bench);
  const { read, kinds, chunksPerBatch, vocabSize } = await withTokenizer(
    source,
    bench,
    async (loaded) => ({
      read: await readText(loaded, path, context, chunks),
      kinds: askedKinds && (await readKinds(loaded, askedKinds, { context, chunks })),
      chunksPerBatch: loaded.chunksPerBatch,
      vocabSize: loaded.vocabSize,
    }),
    context,
  );
  requireChunks(read.tokens, chunks, path);
  const texts = [(await readTextFile(path)).text, ...(kinds?.texts ?? [])];
  const gate = openTokenGate(source, { texts, load: textCutter(context, bench) }, SAME_COUNT);
  for (const open of candidates) {
    refuseProjector(open.model);
    await gate.admit(open);
  }
  const notes = askedKinds === true ? candidates.flatMap(calibrated) : [];
  const options: EvaluationOptions = {
    ...{ context, chunks, chunksPerBatch, vocabSize },
    ...present({ kinds: kinds && [...kinds.kinds], kv }),
    textSha256: read.fileHash,
    devices: [...bench.engine.info.devices],
    notes: [...gate.notes, ...new Set(notes)],
  };
  const ofKinds = kinds?.tokens.ids ?? new Int32Array();
  const ids = new Int32Array(read.tokens.ids.length + ofKinds.length);
  ids.set(read.tokens.ids);
  ids.set(ofKinds, read.tokens.ids.length);
  return { options, inputs: tokensInput({ ids }, path), candidates };
}
