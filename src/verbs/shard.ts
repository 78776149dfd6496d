/** Work on one model by many machines: planned into a campaign, run by index, merged to the result of one machine. */
import type { Bench } from "../bench.ts";
import { hasSecrets, shownName } from "../bytes/remote-name.ts";
import { UsageError } from "../errors.ts";
import { checkedModel, noteWarnings } from "../intake/checked-model.ts";
import { forgetAttempts } from "../shard/attempts.ts";
import { createCampaign, openCampaign, requireSameHow } from "../shard/campaign.ts";
import type { Campaign } from "../shard/campaign-document.ts";
import { candidateFiles } from "../shard/campaign-models.ts";
import { mergeCampaign } from "../shard/merge.ts";
import { knownUnits } from "../shard/rounds.ts";
import { stageOf } from "../shard/stages.ts";
import { campaignStatus } from "../shard/status.ts";
import { runUnits, type WorkDone } from "../shard/work.ts";
import { checkOutputs } from "./check-outputs.ts";
import { askStage, type StageContent, type StageRequest } from "./shard-stages.ts";

export interface PlanShardsRequest extends StageRequest {
  readonly directory: string;
  readonly jobs: number;
}

/** Cut the work of a stage on a model into units. Throws UsageError for options that the stage has not. */
export async function planShards(path: string, request: PlanShardsRequest, bench: Bench): Promise<Campaign> {
  const { directory, jobs, forceFindings } = request;
  if (hasSecrets(path)) {
    throw new UsageError(
      `${shownName(path)}: a campaign keeps no secrets, and this address has what follows its ?, or a user, that machines would need; name it without, as hf:owner/repository/file.gguf with HF_TOKEN on each machine, or as a file in a shared folder`,
    );
  }
  const { stage, checks, prepare } = await askStage(request);
  const checked = await checkedModel(path, { forceFindings, ...checks }, bench);
  let content: StageContent | undefined;
  try {
    noteWarnings(checked, bench);
    content = await prepare(checked.model, bench, checked.warnings);
    return await createCampaign(checked.model, stageOf(stage), { directory, jobs, ...content }, bench);
  } finally {
    for (const open of [checked.model, ...(content?.candidates ?? [])]) await open.close();
  }
}

/**
 * Do the units of an index, or of all, that have no part yet. Where they are decided in rounds, a round is waited for while
 * others work at it, and `waitSeconds` after nobody does.
 */
export async function runShard(
  directory: string,
  index: number | undefined,
  bench: Bench,
  waitSeconds?: number,
): Promise<WorkDone> {
  const place = await openCampaign(directory, bench);
  try {
    const { campaign } = place;
    if (index !== undefined && index >= campaign.jobs) {
      throw new UsageError(`--index ${index}: the campaign has the indexes 0 to ${campaign.jobs - 1}`);
    }
    const { seed, gpuLayers } = campaign.how;
    const own = { ...bench, seed, gpuLayers };
    await requireSameHow(campaign, own);
    return await runUnits(place, stageOf(campaign.stage), index, own, waitSeconds);
  } finally {
    await place.source.close();
  }
}

/** Write the result of a campaign whose parts are all there. */
export async function mergeShards(
  directory: string,
  { output, force }: { readonly output: string; readonly force?: boolean | undefined },
  bench: Bench,
): Promise<{ readonly campaign: Campaign; readonly parts: number; readonly document: unknown }> {
  const place = await openCampaign(directory, bench);
  try {
    const { campaign, source } = place;
    const stage = stageOf(campaign.stage);
    const inputs = [...source.model.shards.map(({ path }) => path), ...candidateFiles(directory, campaign)];
    await checkOutputs([output], { inputs, force, gguf: stage.writesGguf });
    const { seed } = campaign.how;
    const document = await mergeCampaign(place, stage, output, { ...bench, seed }, force);
    return { campaign, parts: (await knownUnits(place, bench.progress.note)).units.length, document };
  } finally {
    await place.source.close();
  }
}

/** Let units be tried again that were given up. Returns how many. */
export async function retryShards(directory: string): Promise<number> {
  const { poisoned } = await campaignStatus(directory);
  return forgetAttempts(directory, new Set(poisoned.map(({ unit }) => unit)));
}
