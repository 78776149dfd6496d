/**
 * Candidates against their reference by blocks of chunks: the document of `prism evaluate` on one machine, byte for byte but
 * for its times. A part holds the scores of tokens; figures are made of all of them, by the merge, as one machine makes them.
 */
import type { Bench } from "../../bench.ts";
import { writeFileAside } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { TokenScores } from "../../engine/engine.ts";
import { scoredTokens } from "../../engine/logits-file.ts";
import { FormatError } from "../../errors.ts";
import { checkFigures } from "../../evaluate/check-figures.ts";
import { describeText, textWarnings } from "../../evaluate/describe-text.ts";
import { assembleEvaluation } from "../../evaluate/evaluate.ts";
import { PPL } from "../../evaluate/evaluation.ts";
import { type JudgedFile, reduceScores, type ScoredModel } from "../../evaluate/score-model.ts";
import { concatScores } from "../../evaluate/statistics.ts";
import { decodeScores, encodeScores, scoresBytes } from "../../evaluate/token-scores.ts";
import { blocksOf } from "../../imatrix/importance-blocks.ts";
import { requireContent } from "../campaign.ts";
import { type Campaign, unitKey } from "../campaign-document.ts";
import { openCandidates } from "../campaign-models.ts";
import { campaignTokens } from "../campaign-tokens.ts";
import { LARGE_VALUE, type LargeValue, readLargeWhole, writeLarge } from "../large-values.ts";
import type { CampaignPlace, ShardStage } from "../stage.ts";
import { createBlockScorer } from "./evaluation-scorer.ts";

/** Blocks that a job has of each candidate, about: what one of them took is lost with its worker. */
const BLOCKS_PER_JOB = 4;

const UNIT = t.object({
  candidate: t.count("Its number, from 0."),
  from: t.count("The first of its chunks."),
  to: t.count("The first after them."),
});

export const EVALUATION_OPTIONS = t.object({
  context: t.some("Tokens of a chunk."),
  chunks: t.some(),
  chunksPerBatch: t.some("That are decoded together; a block is whole batches, as one machine decodes them."),
  vocabSize: t.some("Tokens that every model has."),
  textSha256: t.text("Of the file that was cut into tokens."),
  devices: t.list(t.prose(), "What decodes, as the document says it."),
  notes: t.list(t.prose(), "In what the vocabularies of candidates differ without harm."),
});
export type EvaluationOptions = Content<typeof EVALUATION_OPTIONS>;

export const evaluationStage: ShardStage = {
  id: "evaluation",
  method: 1,
  costPerSecond: 5e8,
  value: LARGE_VALUE,
  name(of) {
    const { candidate, from, to } = requireContent(UNIT, of, "unit");
    return `candidate ${candidate}, chunks ${from} to ${to - 1}`;
  },
  units({ source, campaign }) {
    const { context, chunks, chunksPerBatch } = optionsOf(campaign);
    const batches = Math.ceil(chunks / chunksPerBatch);
    const perBlock = chunksPerBatch * Math.max(1, Math.floor(batches / (BLOCKS_PER_JOB * campaign.jobs)));
    return blocksOf(chunks, perBlock).flatMap(({ from, to }) =>
      (campaign.candidates ?? []).map((_, candidate) => ({
        of: { candidate, from, to },
        // every token meets every weight, as a rule; the first of a block finds no logits of the reference
        cost: (to - from) * context * source.fileBytes * (candidate === 0 ? 2 : 1),
      })),
    );
  },
  async open(place, bench) {
    const { directory, campaign } = place;
    const options = optionsOf(campaign);
    const { tokens } = await campaignTokens(place, options);
    const scorer = await createBlockScorer(place, tokens, options, bench);
    return {
      // all threads are at one batch
      width: 1,
      async measure(of) {
        const { candidate, from, to } = requireContent(UNIT, of, "unit");
        const scores = await scorer.score(candidate, { from, to });
        return writeLarge(directory, unitKey(campaign.id, of), encodeScores(scores));
      },
      close: () => scorer.close(),
    };
  },
  async merge(place, values, output, bench) {
    const { campaign, source } = place;
    const { devices, notes, textSha256, ...asked } = optionsOf(campaign);
    const { path, headerHash } = campaign.model;
    const read = await campaignTokens(place, asked);
    const text = { source: "file", path: read.path, fileHash: textSha256, tokens: read.tokens } as const;
    const models: ScoredModel[] = [];
    for (const [index, file] of (await judgedFiles(place, bench)).entries()) {
      const scores = await scoresOf(place, index, values as LargeValue[]);
      models.push(reduceScores(file, scores, { chunks: asked.chunks, elapsedMs: 0 }));
    }
    const ppl = models[0]?.referencePpl;
    const { version, origin } = campaign.how.engine;
    const evaluation = assembleEvaluation(
      {
        text: describeText(text, false),
        reference: { path, headerHash },
        referencePpl: () => ppl && checkFigures(path, PPL, ppl),
        warnings: [...textWarnings(text, source), ...notes],
      },
      models.map(({ evaluation }) => evaluation),
      { engine: { info: { kind: "embedded", version, origin, devices } }, gpuLayers: campaign.how.gpuLayers },
    );
    await writeFileAside(output, `${JSON.stringify(evaluation, null, 2)}\n`);
    return evaluation;
  },
};

/** What the rows say of the files: under the names they were given. */
async function judgedFiles({ directory, campaign }: CampaignPlace, bench: Bench): Promise<JudgedFile[]> {
  const candidates = await openCandidates(directory, campaign, bench);
  for (const { open } of candidates) await open.close();
  return candidates.map(({ path, open: { fileBytes, bpw } }) => ({ path, fileBytes, bpw }));
}

/** The scores of a candidate, of all its parts in the order of the text. */
async function scoresOf(
  { directory, campaign }: CampaignPlace,
  index: number,
  values: readonly LargeValue[],
): Promise<TokenScores> {
  const { context, chunks } = optionsOf(campaign);
  const parts: TokenScores[] = [];
  let next = 0;
  for (const [unit, { key, of }] of campaign.units.entries()) {
    const { candidate, from, to } = requireContent(UNIT, of, "unit");
    if (candidate !== index || from !== next) continue;
    next = to;
    const bytes = await readLargeWhole(directory, key, values[unit] as LargeValue);
    const wanted = scoresBytes((to - from) * scoredTokens(context));
    if (bytes.length !== wanted) {
      throw new FormatError(
        directory,
        `the part of unit ${key} has ${bytes.length} bytes of scores, expected ${wanted}; delete parts/${key}.* and run it again`,
      );
    }
    parts.push(decodeScores(bytes));
  }
  if (next !== chunks) {
    throw new FormatError(
      "campaign.json",
      `its units are not the ${chunks} chunks of candidate ${index}; make it again`,
    );
  }
  return concatScores(parts);
}

function optionsOf({ options }: Pick<Campaign, "options">): EvaluationOptions {
  return requireContent(EVALUATION_OPTIONS, options, "options");
}
