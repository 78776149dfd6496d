/** How long units take: by those that are done or, before any is, by what slow machines need. */

import { join } from "node:path";
import { readSealed } from "../disk/sealed-file.ts";
import type { CampaignUnit } from "./campaign-document.ts";
import { finishedUnits, type Part, partsFolder } from "./parts.ts";
import type { CampaignPlace, ShardStage } from "./stage.ts";

/** What is expected is exceeded by this much before a unit is given up, and no unit before so long. */
const PATIENCE = 3;
const LEAST_SECONDS = 600;
/** Parts that are read for it. */
const SAMPLE = 32;

/** Seconds that a unit is expected to take with so many threads. */
export async function expectedSeconds(
  { directory, campaign }: Pick<CampaignPlace, "directory" | "campaign">,
  { costPerSecond }: Pick<ShardStage, "costPerSecond">,
  threads: number,
): Promise<(unit: Pick<CampaignUnit, "cost">) => number> {
  const files = await finishedUnits(directory);
  const rates: number[] = [];
  const done = campaign.units.filter(({ key }) => files.has(key));
  const step = Math.max(1, Math.floor(done.length / SAMPLE));
  for (let index = 0; index < done.length; index += step) {
    const { key, cost } = done[index] as CampaignUnit;
    const [file = ""] = files.get(key) ?? [];
    const text = await readSealed(join(partsFolder(directory), file), () => undefined);
    if (text === undefined) continue;
    const { seconds, threads: had } = JSON.parse(text.toString("utf8")) as Part;
    if (seconds > 0 && had > 0) rates.push(cost / (seconds * had));
  }
  const rate = rates.length === 0 ? costPerSecond : (rates.sort((a, b) => a - b)[rates.length >> 1] as number);
  return ({ cost }) => cost / (Math.max(rate, Number.MIN_VALUE) * threads);
}

/** Seconds after which a unit has failed. */
export async function limitSeconds(
  place: CampaignPlace,
  stage: ShardStage,
  threads: number,
): Promise<(unit: CampaignUnit) => number> {
  const expected = await expectedSeconds(place, stage, threads);
  return (unit) => Math.max(LEAST_SECONDS, PATIENCE * expected(unit));
}
