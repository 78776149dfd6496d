/** How far a campaign is, by the names of its files alone: the model is not opened. */
import { poisonOf, readAttempts } from "./attempts.ts";
import { readCampaign } from "./campaign.ts";
import { finishedUnits } from "./parts.ts";
import { knownUnits } from "./rounds.ts";
import { stageOf } from "./stages.ts";
import type { UnitFault } from "./work.ts";

export interface CampaignStatus {
  readonly stage: string;
  readonly model: string;
  /** Of a campaign with rounds those that are decided. */
  readonly units: number;
  /** Of a campaign with rounds: the latest that is decided, from 0, and whether it is the last one. */
  readonly round?: number;
  readonly isOver?: boolean;
  readonly finished: number;
  readonly underWay: number;
  /** Indexes that have units without parts which may be tried. */
  readonly openJobs: readonly number[];
  readonly jobs: number;
  readonly poisoned: readonly UnitFault[];
  /** Attempts that failed or died, of units that have no part. */
  readonly lost: number;
  /** Machines whose work is under way. */
  readonly hosts: readonly string[];
}

export async function campaignStatus(directory: string): Promise<CampaignStatus> {
  const campaign = await readCampaign(directory);
  const { stage, model, jobs } = campaign;
  const { units, round, isOver } = await knownUnits({ directory, campaign }, () => undefined);
  const finished = await finishedUnits(directory);
  const attempts = await readAttempts(directory);
  const { name } = stageOf(stage);
  const open = units.filter(({ key }) => !finished.has(key));
  const poisoned = open.flatMap(({ key, of }): UnitFault[] => {
    const error = poisonOf(attempts.get(key));
    return error === undefined ? [] : [{ unit: key, of, name: name(of), error }];
  });
  const isPoison = new Set(poisoned.map(({ unit }) => unit));
  const tries = open.flatMap(({ key }) => attempts.get(key) ?? []);
  const working = tries.filter(({ state }) => state === "under way");
  return {
    stage,
    model: model.path,
    units: units.length,
    ...(campaign.rounds && { round, isOver }),
    finished: units.length - open.length,
    underWay: new Set(working.map(({ unit }) => unit)).size,
    openJobs: [...new Set(open.filter(({ key }) => !isPoison.has(key)).map(({ job }) => job))].sort((a, b) => a - b),
    jobs,
    poisoned,
    lost: tries.length - working.length,
    hosts: [...new Set(working.map(({ host }) => host))].sort(),
  };
}
