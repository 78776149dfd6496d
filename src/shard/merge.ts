/** The parts of a campaign → its result, in the order of the units, whoever made them and when. */
import type { Bench } from "../bench.ts";
import { IncompleteError } from "../errors.ts";
import { poisonOf, readAttempts } from "./attempts.ts";
import { readParts } from "./parts.ts";
import { followRounds } from "./rounds.ts";
import type { CampaignPlace, ShardStage } from "./stage.ts";

/** Units named in a message; the rest is counted. */
const SHOWN = 5;

/** Merge. Throws IncompleteError, which names what is missing, PrismError (`verification`) where machines disagree. */
export async function mergeCampaign(
  opened: CampaignPlace,
  stage: ShardStage,
  output: string,
  bench: Bench,
  force = false,
): Promise<unknown> {
  // rounds that lie there are believed by nobody who can decide them himself
  const { place, isOver } = await followRounds(opened, stage, bench, { verify: true })();
  const { directory, campaign } = place;
  const parts = await readParts(directory, campaign.units, stage.value, bench.progress.note);
  const missing = campaign.units.filter(({ key }) => !parts.has(key));
  if (missing.length > 0) {
    const attempts = await readAttempts(directory);
    const shown = missing.slice(0, SHOWN).map(({ key, of, job }) => {
      const poison = poisonOf(attempts.get(key));
      return `${stage.name(of)} of job ${job}${poison === undefined ? "" : ` (given up: ${poison})`}`;
    });
    const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : "";
    throw new IncompleteError(
      `${directory}: ${missing.length} of ${campaign.units.length} parts are missing: ${shown.join(", ")}${more}; give prism shard run ${directory} for what is open, prism shard retry ${directory} for what was given up`,
    );
  }
  // the last part of a round may come after the rounds were followed
  if (!isOver) {
    throw new IncompleteError(
      `${directory}: a round was completed meanwhile, and the next one is open; give prism shard run ${directory}`,
    );
  }
  const values = campaign.units.map(({ key }) => parts.get(key)?.value);
  return stage.merge(place, values, output, bench, force);
}
