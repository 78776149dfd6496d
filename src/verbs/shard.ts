/** Work on one model by many machines: planned into a campaign, run by index, merged to the result of one machine. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { checkedModel, noteWarnings } from "../intake/checked-model.ts";
import { present } from "../present.ts";
import { forgetAttempts } from "../shard/attempts.ts";
import { createCampaign, openCampaign, requireSameHow } from "../shard/campaign.ts";
import type { Campaign } from "../shard/campaign-document.ts";
import { mergeCampaign } from "../shard/merge.ts";
import { stageOf } from "../shard/stages.ts";
import { campaignStatus } from "../shard/status.ts";
import { runUnits, type WorkDone } from "../shard/work.ts";
import { checkOutputs } from "./check-outputs.ts";
import { type Exact, exactOf } from "./planning-request.ts";

export interface PlanShardsRequest {
  readonly directory: string;
  readonly jobs: number;
  readonly imatrix?: string | undefined;
  readonly exact?: Exact | undefined;
  readonly targetRelativeSe?: number | undefined;
  readonly forceFindings?: boolean | undefined;
}

/** Cut the analysis of a model into units. */
export async function planShards(path: string, request: PlanShardsRequest, bench: Bench): Promise<Campaign> {
  const { directory, jobs, imatrix, exact, targetRelativeSe } = request;
  const checked = await checkedModel(path, request, bench);
  try {
    noteWarnings(checked, bench);
    const options = { ...exactOf(exact), ...present({ targetRelativeSe }) };
    return await createCampaign(
      checked.model,
      stageOf("analysis"),
      { directory, jobs, options, inputs: { imatrix } },
      bench,
    );
  } finally {
    await checked.model.close();
  }
}

/** Do the units of an index, or of all, that have no part yet. */
export async function runShard(directory: string, index: number | undefined, bench: Bench): Promise<WorkDone> {
  const place = await openCampaign(directory, bench);
  try {
    const { campaign } = place;
    if (index !== undefined && index >= campaign.jobs) {
      throw new UsageError(`--index ${index}: the campaign has the indexes 0 to ${campaign.jobs - 1}`);
    }
    const { seed, gpuLayers } = campaign.how;
    const own = { ...bench, seed, gpuLayers };
    await requireSameHow(campaign, own);
    return await runUnits(place, stageOf(campaign.stage), index, own);
  } finally {
    await place.source.close();
  }
}

/** Write the result of a campaign whose parts are all there. */
export async function mergeShards(
  directory: string,
  { output, force }: { readonly output: string; readonly force?: boolean | undefined },
  bench: Bench,
): Promise<{ readonly campaign: Campaign; readonly document: unknown }> {
  const place = await openCampaign(directory, bench);
  try {
    const { campaign, source } = place;
    await checkOutputs([output], { inputs: source.model.shards.map(({ path }) => path), force });
    const { seed } = campaign.how;
    return { campaign, document: await mergeCampaign(place, stageOf(campaign.stage), output, { ...bench, seed }) };
  } finally {
    await place.source.close();
  }
}

/** Let units be tried again that were given up. Returns how many. */
export async function retryShards(directory: string): Promise<number> {
  const { poisoned } = await campaignStatus(directory);
  return forgetAttempts(directory, new Set(poisoned.map(({ unit }) => unit)));
}
