/**
 * Campaigns whose units are decided in rounds: those of a round follow from the campaign and from the parts of all rounds
 * before it, and from nothing else, so that whoever finds a round complete decides the next one as everybody would. It is
 * written to rounds/, a sealed file a round; one without units is the end.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import type { Content } from "../documents/fields.ts";
import * as t from "../documents/fields.ts";
import { findViolation } from "../documents/violation.ts";
import { FormatError } from "../errors.ts";
import { unitsIn } from "./campaign.ts";
import { CAMPAIGN_UNIT, type Campaign, type CampaignUnit, unitKey } from "./campaign-document.ts";
import { finishedUnits, readParts } from "./parts.ts";
import type { CampaignPlace, RoundChoice, ShardStage } from "./stage.ts";

const ROUND = t.object({
  after: t.text("A hash of the parts that it follows from."),
  units: t.list(CAMPAIGN_UNIT),
});
type Round = Content<typeof ROUND>;

export interface KnownUnits {
  /** Of all rounds that are decided. */
  readonly units: readonly CampaignUnit[];
  /** The last of them that has units, from 0. */
  readonly round: number;
  /** No more will be decided. */
  readonly isOver: boolean;
}

type Place = Pick<CampaignPlace, "directory" | "campaign">;

function roundFile(directory: string, round: number): string {
  return join(directory, "rounds", `${String(round).padStart(4, "0")}.json`);
}

/** What the files say, without the model. */
export async function knownUnits({ directory, campaign }: Place, note: (text: string) => void): Promise<KnownUnits> {
  const units = [...campaign.units];
  if (campaign.rounds === undefined) return { units, round: 0, isOver: true };
  for (let round = 0; ; round++) {
    const next = await readRound({ directory, campaign }, round + 1, note);
    if (next === undefined || next.units.length === 0) return { units, round, isOver: next !== undefined };
    units.push(...next.units);
  }
}

/** What a worker knows of a campaign now. */
export interface RoundNow {
  /** With the units of all rounds that are decided. */
  readonly place: CampaignPlace;
  readonly isOver: boolean;
}

/**
 * Follows a campaign from round to round: each call decides what can be decided. With `verify` rounds that lie there are
 * decided anew. Throws FormatError where one of them is not what follows from the parts, PrismError (`verification`)
 * where machines disagree about a part.
 */
export function followRounds(
  place: CampaignPlace,
  stage: ShardStage,
  { progress }: Pick<Bench, "progress">,
  { verify = false }: { readonly verify?: boolean } = {},
): () => Promise<RoundNow> {
  const { directory, campaign } = place;
  const units = [...campaign.units];
  const now = (isOver: boolean): RoundNow => ({
    place: { ...place, campaign: { ...campaign, units: [...units] } },
    isOver,
  });
  const { rounds } = stage;
  if (rounds === undefined) return async () => now(true);
  const values: unknown[] = [];
  let round = 0;
  let after = "";
  let isOver = false;
  let choosing: Promise<RoundChoice> | undefined;
  const decide = async (): Promise<Round> => {
    choosing ??= rounds(place);
    const choose = await choosing;
    const done = values.map((value, index) => ({ of: (units[index] as CampaignUnit).of, value }));
    return { after, units: unitsIn(choose(done), campaign.id, campaign.jobs).units };
  };
  return async () => {
    const written = verify ? (await readdir(join(directory, "rounds")).catch(() => [])).length : 0;
    while (!isOver) {
      const last = units.slice(values.length);
      const names = await finishedUnits(directory);
      if (last.some(({ key }) => !names.has(key))) break;
      const parts = await readParts(directory, last, stage.value, progress.note);
      if (last.some(({ key }) => !parts.has(key))) break;
      const own = last.map(({ key }) => parts.get(key)?.value);
      values.push(...own);
      after = createHash("sha256").update(`${after}\n`).update(JSON.stringify(own)).digest("hex");
      round++;
      // of thousands of tensors each takes seconds
      if (verify) progress.steps("rounds", Math.min(round, written), written);
      const next = await settle(place, round, after, decide, { verify, note: progress.note });
      isOver = next.units.length === 0;
      units.push(...next.units);
    }
    return now(isOver);
  };
}

/** The round as its file has it or, where there is none, as it is decided: then it is written. */
async function settle(
  place: Place,
  round: number,
  after: string,
  decide: () => Promise<Round>,
  { verify, note }: { readonly verify: boolean; readonly note: (text: string) => void },
): Promise<Round> {
  const path = roundFile(place.directory, round);
  const found = await readRound(place, round, note);
  if (found !== undefined && found.after !== after) {
    throw new FormatError(
      path,
      "was decided by other parts than lie in parts/; put those back, or delete it and all rounds after it",
    );
  }
  if (found !== undefined && !verify) return found;
  const decided = await decide();
  // whoever decided it meanwhile decided the same
  const there = found ?? (await readRound(place, round, note));
  if (there === undefined) await writeSealed(path, JSON.stringify(decided));
  else if (JSON.stringify(there) !== JSON.stringify(decided)) {
    throw new FormatError(
      path,
      "has other units than follow from the parts: it was changed, or one of the machines decides differently (use one version of Node.js); delete it and all rounds after it, and give prism shard run again",
    );
  }
  return decided;
}

async function readRound(
  { directory, campaign }: Place,
  round: number,
  note: (text: string) => void,
): Promise<Round | undefined> {
  const path = roundFile(directory, round);
  const text = await readSealed(path, note);
  if (text === undefined) return undefined;
  const remedy = "delete it and all rounds after it, and give prism shard run again";
  let read: Round;
  try {
    read = JSON.parse(text.toString("utf8")) as Round;
  } catch {
    throw new FormatError(path, `is no round of a campaign; ${remedy}`);
  }
  const violation = findViolation(ROUND, read) ?? foreignUnit(campaign, read);
  if (violation !== undefined) throw new FormatError(path, `is no round of this campaign (${violation}); ${remedy}`);
  return read;
}

function foreignUnit({ id, jobs }: Campaign, { units }: Round): string | undefined {
  const index = units.findIndex(({ key, of, job }) => key !== unitKey(id, of) || job >= jobs);
  return index < 0 ? undefined : `units[${index}] is of another one`;
}
