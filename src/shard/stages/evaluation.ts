/**
 * Candidates against their reference by blocks of chunks: the document of `prism evaluate` on one machine, byte for byte but
 * for its times. A part holds the scores of tokens; figures are made of all of them, by the merge, as one machine makes them.
 */
import type { Bench } from "../../bench.ts";
import { writeFileAside } from "../../disk/aside-file.ts";
import type { TokenScores } from "../../engine/engine.ts";
import { scoredTokens } from "../../engine/logits-file.ts";
import { FormatError } from "../../errors.ts";
import { checkFigures } from "../../evaluate/check-figures.ts";
import { describeText, textWarnings } from "../../evaluate/describe-text.ts";
import { assembleEvaluation } from "../../evaluate/evaluate.ts";
import { type ModelEvaluation, PPL } from "../../evaluate/evaluation.ts";
import { reduceCache, reduceKinds } from "../../evaluate/more-figures.ts";
import { type JudgedFile, reduceScores, type ScoredModel } from "../../evaluate/score-model.ts";
import { concatScores } from "../../evaluate/statistics.ts";
import { firstChunks } from "../../evaluate/text.ts";
import { decodeScores, encodeScores, scoresBytes } from "../../evaluate/token-scores.ts";
import { present } from "../../present.ts";
import { requireContent } from "../campaign.ts";
import { type Campaign, unitKey } from "../campaign-document.ts";
import { openCandidates } from "../campaign-models.ts";
import { campaignTokens } from "../campaign-tokens.ts";
import { LARGE_VALUE, type LargeValue, readLargeWhole, writeLarge } from "../large-values.ts";
import type { CampaignPlace, ShardStage } from "../stage.ts";
import { createBlockScorer } from "./evaluation-scorer.ts";
import {
  chunksInAll,
  chunksOf,
  EVALUATION_OPTIONS,
  EVALUATION_UNIT,
  type EvaluationOptions,
  type EvaluationUnit,
  evaluationUnits,
} from "./evaluation-units.ts";

export const evaluationStage: ShardStage = {
  id: "evaluation",
  method: 1,
  costPerSecond: 5e8,
  value: LARGE_VALUE,
  name(of) {
    const { candidate, pass, from, to } = unitOf(of);
    return `candidate ${candidate}, chunks ${from} to ${to - 1}${pass === "kv" ? " with its cache in --kv" : ""}`;
  },
  units({ source: { fileBytes }, campaign }) {
    const { candidates = [], jobs } = campaign;
    return evaluationUnits(optionsOf(campaign), { candidates: candidates.length, jobs, fileBytes });
  },
  async open(place, bench) {
    const { directory, campaign } = place;
    const options = optionsOf(campaign);
    const { tokens } = await campaignTokens(place, { context: options.context, chunks: chunksInAll(options) });
    const scorer = await createBlockScorer(place, tokens, options, bench);
    return {
      // all threads are at one batch
      width: 1,
      measure: async (of) =>
        writeLarge(directory, unitKey(campaign.id, of), encodeScores(await scorer.score(unitOf(of)))),
      close: () => scorer.close(),
    };
  },
  async merge(place, values, output, bench) {
    const { campaign, source } = place;
    const options = optionsOf(campaign);
    const { context, chunks, kinds, kv, devices, notes, textSha256 } = options;
    const { path, headerHash } = campaign.model;
    const read = await campaignTokens(place, { context, chunks: chunksInAll(options) });
    const tokens = firstChunks(read.tokens, chunks);
    const text = { source: "file", path: read.path, fileHash: textSha256, tokens } as const;
    const models: ModelEvaluation[] = [];
    let referencePpl: ScoredModel["referencePpl"];
    for (const [candidate, file] of (await judgedFiles(place, bench)).entries()) {
      const of = (pass: EvaluationUnit["pass"]) => scoresOf(place, { candidate, pass }, values as LargeValue[]);
      const scored = reduceScores(file, await of("text"), { chunks, elapsedMs: 0 });
      const ofKinds = kinds && reduceKinds(file, { kinds, tokens: { context } }, await of("kinds"));
      const kvCache = kv && reduceCache(file, kv, await of("kv"));
      models.push({ ...scored.evaluation, ...present({ kinds: ofKinds, kvCache }) });
      referencePpl ??= scored.referencePpl && checkFigures(path, PPL, scored.referencePpl);
    }
    const { version, origin } = campaign.how.engine;
    const evaluation = assembleEvaluation(
      {
        text: describeText(text, false),
        reference: { path, headerHash },
        referencePpl: () => referencePpl,
        warnings: [...textWarnings(text, source), ...notes],
      },
      models,
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

/** The scores of a candidate in a pass, of all their parts in the order of the chunks. */
async function scoresOf(
  { directory, campaign }: CampaignPlace,
  { candidate, pass }: Pick<EvaluationUnit, "candidate" | "pass">,
  values: readonly LargeValue[],
): Promise<TokenScores> {
  const options = optionsOf(campaign);
  const { from: start, to: end } = chunksOf(options, pass);
  const parts: TokenScores[] = [];
  let next = start;
  for (const [index, { key, of }] of campaign.units.entries()) {
    const unit = unitOf(of);
    if (unit.candidate !== candidate || unit.pass !== pass || unit.from !== next) continue;
    next = unit.to;
    const bytes = await readLargeWhole(directory, key, values[index] as LargeValue);
    const wanted = scoresBytes((unit.to - unit.from) * scoredTokens(options.context));
    if (bytes.length !== wanted) {
      throw new FormatError(
        directory,
        `the part of unit ${key} has ${bytes.length} bytes of scores, expected ${wanted}; delete parts/${key}.* and run it again`,
      );
    }
    parts.push(decodeScores(bytes));
  }
  if (next !== end) {
    throw new FormatError(
      "campaign.json",
      `its units are not the ${end - start} chunks of candidate ${candidate}; make it again`,
    );
  }
  return concatScores(parts);
}

function unitOf(of: unknown): EvaluationUnit {
  return requireContent(EVALUATION_UNIT, of, "unit");
}

function optionsOf({ options }: Pick<Campaign, "options">): EvaluationOptions {
  return requireContent(EVALUATION_OPTIONS, options, "options");
}
