/** How large a unit may be. */

/** Units that a job has at least, where the model is large enough, so that jobs can be balanced. */
const UNITS_PER_JOB = 8;
/** Of the source: no unit is larger, or smaller than there is use for. */
const MOST_UNIT_BYTES = 2 ** 30;
const LEAST_UNIT_BYTES = 2 ** 20;

export interface UnitSizes {
  readonly fileBytes: number;
  readonly jobs: number;
}

/** Bytes of the source in a unit at most. */
export function unitBytes({ fileBytes, jobs }: UnitSizes, perJob = UNITS_PER_JOB): number {
  return Math.min(MOST_UNIT_BYTES, Math.max(LEAST_UNIT_BYTES, fileBytes / (jobs * perJob)));
}
